"""launch/tokens.py shows what training and sampling do: the same tokens, as JSON and for people."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.data import tokenizer as tokenizers
from rft_jax.records.problem import write_problems
from rft_jax.task.templates.paper import instruction
from rft_jax.world import generate

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "rft_jax" / "world" / "base_model"


def tokens(*flags):
    """Runs the command and returns its exit code, output and errors."""
    command = [sys.executable, str(ROOT / "launch" / "tokens.py"), f"--model={MODEL}", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    file = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    write_problems(file, generate.problems("train", 5, 0))
    return file


def test_as_json(problems):
    code, out, _ = tokens(f"--problems={problems}", "--count=2", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, [line["problem"] for line in lines]) == (0, [0, 1])
    loaded = tokenizers.load(MODEL)
    for line, problem in zip(lines, generate.problems("train", 5, 0), strict=False):
        assert line["prompt"] == line["example"][: line["loss_from"]]
        assert line["ends"] == [2] == line["example"][-1:]
        assert loaded.decode(line["prompt"]) == f"<s>{instruction(problem.question)}"
        assert loaded.decode(line["example"][line["loss_from"] : -1]) == problem.response


def test_for_people(problems):
    code, out, _ = tokens(f"--problems={problems}", "--count=1")
    assert code == 0
    assert out.startswith("task gsm8k, template paper, model name base_model\nbos: 1 '<s>'\n")
    assert "a trained response ends with 2 '</s>'; a sampled one at 2 '</s>'" in out
    assert "### Response:┃" in out
    assert "\x1b" not in out  # no colours in a file


def test_mistakes(problems, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"question": "?", "answer": "#### 1"}\n{"question": "?", "answer": ""}\n')
    for flags, told in (
        ((f"--problems={problems}", "--task=gsm9k"), "no task is called 'gsm9k' (did you mean 'gsm8k'?)"),
        ((f"--problems={broken}",), "broken.jsonl:2: the response is empty"),
        ((f"--problems={problems}", "--begin_token=99999"), "bos token 99999 is no token of the model"),
    ):
        code, out, errors = tokens(*flags)
        assert (code, out) == (1, "")
        assert len(errors.splitlines()) == 1
        assert errors.startswith("error: ")
        assert told in errors
