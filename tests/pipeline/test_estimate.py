"""What a plan estimates."""

import json

import pytest

from rft_jax.config import PipelineConfig
from rft_jax.config_flag import load
from rft_jax.hf import config as hf_config
from rft_jax.model.architecture import SIZES
from rft_jax.pipeline import estimate, stage_settings


def test_distinct_paths_are_the_papers_at_its_k():
    assert [estimate.distinct(k) for k in (1, 12, 100)] == pytest.approx([1.17, 2.20, 5.25])
    curve = [estimate.distinct(k) for k in range(1, 400)]
    assert curve == sorted(curve)


def test_a_plan_for_gsm8k_counts_as_the_paper_does(tmp_path):
    """7B on the paper's problems: 3 epochs of 232 tokens, 747,300 samples; selection keeps about 47,000 rows."""
    folder = tmp_path / "llama"
    folder.mkdir()
    hf_config.write(folder, SIZES["llama2-7b"], "bfloat16", {})
    question, answer = "q" * 235, "a" * 286  # as long as GSM8K's on average
    problems = tmp_path / "train.jsonl"
    problems.write_text((json.dumps({"question": question, "answer": answer}) + "\n") * 7473)
    config = load(f"{stage_settings.root()}/configs/gsm8k.py:llama2-7b={folder}", PipelineConfig)
    fields = {"problems": str(problems), "test": str(problems)}
    config = PipelineConfig(**{**{f: getattr(config, f) for f in config.__dataclass_fields__}, **fields})
    found = {each.name: each for each in estimate.estimate(config, tmp_path, "a100-80g", 8)}
    assert found["llama2-7b-sft"].flops == pytest.approx(6 * 6.74e9 * 7473 * 3 * 230, rel=0.05)
    assert found["llama2-7b-paths1"].samples == 747_300
    assert found["llama2-7b-rft1"].flops / found["llama2-7b-sft"].flops == pytest.approx(47_000 / 7_473, rel=0.02)
    # No faster than the ceiling of 13,600 tokens per second and GPU (7B, shared prompts), nor hopelessly slow.
    ceiling = 747_300 * 130 / (8 * 13_600)
    assert ceiling < found["llama2-7b-paths1"].seconds < 3 * ceiling


@pytest.mark.parametrize(
    ("told", "expected"),
    [(estimate.duration(40), "40 s"), (estimate.duration(700), "12 min"), (estimate.duration(12_600), "3.5 h"),
     (estimate.storage(40_200), "40 kB"), (estimate.storage(2.7e10), "27 GB")],
)  # fmt: skip
def test_numbers_for_people(told, expected):
    assert told == expected
