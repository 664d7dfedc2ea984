"""The shipped base model is small and complete, and has this world's tokenizer."""

import json
from pathlib import Path

from rft_jax.data import tokenizer
from rft_jax.hf import config as hf_config
from rft_jax.model import architecture
from rft_jax.task.templates.paper import instruction
from rft_jax.world import generate
from rft_jax.world.generate import problems
from rft_jax.world.write import write_corpus

FOLDER = Path(generate.__file__).parent / "base_model"


def test_it_is_small_and_complete():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 4_000_000
    assert hf_config.read(FOLDER) == architecture.size("world")
    assert (FOLDER / "README.md").is_file()


def test_its_tokenizer_is_the_one_that_the_world_makes(tmp_path):
    write_corpus(tmp_path, rows=10, seed=3, drills=0.2)
    made = (tmp_path / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8")
    assert json.loads(made) == json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))


def test_problems_fit_the_quickstarts_rows():
    """The quickstart pads each example to 128 tokens and cuts beyond."""
    loaded = tokenizer.load(FOLDER)
    for each in [*problems("train", 384, 0), *problems("test", 800, 0)]:
        assert len(loaded(instruction(each.question) + each.response)["input_ids"]) < 129
