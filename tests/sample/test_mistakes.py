"""A user's mistake gets one line that says what is wrong, where, and what to do; before anything is sampled."""

import dataclasses
import json
import os
import shutil

import pytest

from rft_jax import config_checks, config_flag
from rft_jax.config import EvaluateConfig, MeshConfig, SampleConfig
from rft_jax.errors import UserError
from rft_jax.sample import capacity, loop


@pytest.fixture
def config(model_folder, problems_file):
    made = config_flag.load("configs/sample.py", SampleConfig)
    return dataclasses.replace(made, model=str(model_folder), problems=str(problems_file), k=2, max_new_tokens=8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k = 0"),
        ({"temperature": -1.0}, r"temperature = -1\.0"),
        ({"temperature": float("nan")}, "temperature = nan"),
        ({"top_k": 0}, "top_k = 0"),
        ({"top_p": 1.5}, r"top_p = 1\.5"),
        ({"max_new_tokens": 0}, "max_new_tokens = 0"),
        ({"max_new_tokens": 2048}, "2048 positions, for the prompt as well"),
        ({"max_new_tokens": 2000}, r"has 2048 positions: set --config\.prompt_tokens=48"),
        ({"model": "/nowhere"}, "no model folder /nowhere"),
        ({"model": None}, r"--config\.model=DIR"),
        ({"problems": "/nowhere"}, "no such file: /nowhere"),
        ({"shots": 3}, r"--config\.shots_from=FILE"),
        ({"shots": -1, "shots_from": "problems"}, "shots = -1"),
        ({"shots": 65, "shots_from": "problems"}, "has 64 problems"),
        ({"mesh": MeshConfig(tensor=3)}, "does not cover the 8 devices"),
        ({"rows": 0}, "rows = 0"),
        ({"begin_token": 99999}, "bos token 99999 is no token of the model"),
        ({"end_tokens": (320,)}, "stop token 320 is no token of the model"),
        ({"task": "gsm9k"}, "no task is called 'gsm9k'.*did you mean 'gsm8k'"),
        ({"template": "papr"}, "no template is called 'papr'"),
        ({"template": "chat"}, "has no chat template"),
        ({"prompt_tokens": 0}, "prompt_tokens = 0"),
        ({"budget": "distict=1"}, "budget 'distict=1' .did you mean 'distinct'"),
        ({"budget": "distinct"}, "give distinct=N"),
        ({"budget": "distinct=3"}, "there are at most k = 2 samples of a problem"),
        ({"budget": "boundary"}, "k = 2 is below the first pass of 4 samples"),
        ({"budget": "uniform=1"}, r"give --config\.k=1 instead"),
        (
            {"budget": "tokens=100:first=2"},
            "a first pass of 2 samples of each of 64 problems is more than so many tokens",
        ),
    ],
    ids=str,
)
def test_settings(config, tmp_path, changes, message):
    if changes.get("shots_from"):
        changes = {**changes, "shots_from": config.problems}
    with pytest.raises(UserError, match=message):
        loop.sample(dataclasses.replace(config, **changes), tmp_path)


def test_a_budget_without_gold_answers(config, tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "How many?", "answer": "Many."}\n' * 2)
    asked = dataclasses.replace(config, problems=str(file))
    with pytest.raises(UserError, match=r"a budget by what is right needs gold answers, or take budget=uniform"):
        loop.sample(dataclasses.replace(asked, budget="correct=1"), tmp_path / "run")
    assert not [*tmp_path.glob("run/paths/*")]


def test_an_evaluation_takes_no_budget(config):
    made = config_flag.load("configs/evaluate.py", EvaluateConfig)
    with pytest.raises(UserError, match="an evaluation has as many samples of every problem"):
        config_checks.evaluation(dataclasses.replace(made, k=4, budget="distinct=1"))


def test_an_empty_problem_file(config, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(UserError, match="holds no problem"):
        loop.sample(dataclasses.replace(config, problems=str(empty)), tmp_path)


def test_half_a_character(config, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"question": "so \\ud83d", "answer": "#### 1"}\n')
    with pytest.raises(UserError, match=r"broken\.jsonl:1: the question has half a character"):
        loop.sample(dataclasses.replace(config, problems=str(broken)), tmp_path)


def test_a_model_without_an_end_token(config, tmp_path):
    other = tmp_path / "endless"
    shutil.copytree(config.model, other)
    for name in ("config.json", "generation_config.json"):
        fields = json.loads((other / name).read_text())
        fields.pop("eos_token_id", None)
        (other / name).write_text(json.dumps(fields))
    settings = json.loads((other / "tokenizer_config.json").read_text())
    del settings["eos_token"]
    (other / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="eos_token_id"):
        loop.sample(dataclasses.replace(config, model=str(other)), tmp_path)


def test_memory_for_less_than_one_problem(config, tmp_path, monkeypatch):
    monkeypatch.setattr(capacity, "free_bytes", lambda device: 10_000)
    with pytest.raises(UserError, match=r"one problem needs 0\.\d MiB .* 0\.0 MiB free: --config\.mesh\.tensor=2"):
        loop.sample(config, tmp_path)


def test_a_file_where_the_folder_should_be(config, tmp_path):
    (tmp_path / "paths").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        loop.sample(config, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(config, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot make the folder"):
        loop.sample(config, tmp_path)


def test_other_settings_or_another_model_in_the_same_folder(config, tmp_path):
    loop.sample(dataclasses.replace(config, k=1), tmp_path)
    with pytest.raises(UserError, match=r"seed was 0, now 3; temperature was 0\.7, now 1\.0"):
        loop.sample(dataclasses.replace(config, temperature=1.0, seed=3), tmp_path)
    other = tmp_path / "tiny"
    shutil.copytree(config.model, other)
    weights = other / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100:] = bytes(100)
    weights.write_bytes(content)
    with pytest.raises(UserError, match="model was") as error:
        loop.sample(dataclasses.replace(config, model=str(other)), tmp_path)
    assert "prompts" not in str(error.value)
