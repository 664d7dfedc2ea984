"""BUILD.md's examples of a dataset, a grader and a rule work as printed."""

import json
import re
from pathlib import Path

import pytest

from rft_jax.records.problem import read_problems
from rft_jax.select.selection import select
from rft_jax.task import task as tasks
from rft_jax.task.template import text_of

BUILD = Path(__file__).parents[1] / "BUILD.md"


class Tokenizer:
    """As much of a tokenizer as a Jinja template needs."""

    bos_token, eos_token, added_tokens_decoder = None, "</s>", {}


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """A folder with the files of BUILD.md, and a set of problems and paths for them."""
    blocks = re.findall(r"```python\n# (\w+\.py)(.*?)```", BUILD.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in blocks] == ["arithmetic.py", "letters.py", "shortest.py"]
    for name, text in blocks:
        assert len(text.splitlines()) < 40
        (tmp_path / name).write_text(f"# {text}")
    (tmp_path / "rows.jsonl").write_text('{"ask": "12 + 30", "gold": "42"}\n')
    paths = [
        "12 + 30 = 42, so 42. The answer is 42.",
        "The answer is 42",
        "B",
        "42 it is: #### 42",
        "#### 41",
    ]
    lines = [{"problem": 0, "sample": n, "model": "m", "response": text} for n, text in enumerate(paths)]
    (tmp_path / "paths.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.chdir("/")
    return tmp_path


def test_the_data_set(examples):
    task = tasks.load(str(examples / "arithmetic.py"))
    (problem,) = read_problems(examples / "rows.jsonl", task.reader)
    assert text_of(task.template.prompt(problem, Tokenizer())) == "Work out 12 + 30.\nAnswer:"
    assert task.audits == (str(examples / "letters.py"),)


def test_data_set_grader_and_rule_together(examples):
    result = select(
        str(examples / "rows.jsonl"),
        [str(examples / "paths.jsonl")],
        str(examples / "out.jsonl"),
        task=str(examples / "arithmetic.py"),
        rules=str(examples / "shortest.py"),
        ks=[],
        workers=1,
    )
    rows = [json.loads(line) for line in (examples / "out.jsonl").read_text().splitlines()]
    assert [row.get("sample") for row in rows] == [None, 1, 3, 0]  # the gold row, then the right ones by their length
    assert (result["task"], result["grader"], result["rules"]) == ("arithmetic", "robust", "shortest")
    assert result["graders"]["letters"]["unreadable_gold_answers"] == 1
