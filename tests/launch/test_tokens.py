"""launch/tokens.py shows what training and sampling do: the same tokens, as JSON and for people."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.data import show
from rft_jax.data import tokenizer as tokenizers
from rft_jax.data.encode import Encoder
from rft_jax.data.prompt_format import PromptFormat
from rft_jax.records.problem import Problem, write_problems
from rft_jax.task.templates.paper import instruction
from rft_jax.task.templates.shots import Shots
from rft_jax.world import generate
from tests import tokenizers as sample_tokenizers

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


def test_a_conversation_has_an_example_per_turn_of_the_assistant(tmp_path):
    folder = sample_tokenizers.load("qwen-like", tmp_path).folder
    turns = [("user", "1+1?"), ("assistant", "2"), ("user", "2+2?"), ("assistant", "4")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"question": "?", "answer": "5"}) + "\n")
    loaded = tokenizers.load(folder)
    config = json.loads((MODEL / "config.json").read_text()) | {"vocab_size": len(loaded), "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config))
    flags = (f"--problems={tmp_path / 'rows.jsonl'}", "--task=gsm8k_chat", "--json", f"--model={folder}")
    code, out, _ = tokens(*flags)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, [line["problem"] for line in lines]) == (0, [0, 0, 1])
    assert [loaded.decode(line["example"][line["loss_from"] :]) for line in lines] == [
        f"{response}<|im_end|>" for response in "245"
    ]
    assert all(line["prompt"] == line["example"][: line["loss_from"]] for line in lines)


def test_for_people_spaces_are_seen_and_nothing_commands_the_terminal(tmp_path):
    sample = sample_tokenizers.load("llama2-like", tmp_path)
    encoder = Encoder(sample.tokenizer, Shots(()), bos_tokens=(), eos_token=2, vocabulary=len(sample.tokenizer))
    asked = PromptFormat("m", "gsm8k", encoder.template, (), 2, (2,))
    problem = Problem("a  b\x1b[31m", "It is 5.")
    *_, shown = show.for_people(encoder, asked, [problem], "f", colour=False)
    text = shown.replace("|", "").replace("⏎", "").replace("┃", "")
    assert text == " Question: a  b\\x1b[31m\nAnswer:It is 5.</s>"


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
