"""The command as a user meets it: what it writes, and one line and an exit code for every mistake."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.contamination import compare as comparing
from rft_jax.contamination.pairs import LISTED
from rft_jax.errors import UserError
from rft_jax.one_writer import one_writer
from rft_jax.records.problem import Problem, write_problems
from rft_jax.world import generate

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "launch" / "contamination.py")]
TESTED = generate.problems("test", 30, 0)


@pytest.fixture
def run(tmp_path):
    """Runs the command in a folder with problems of which two are in both files, one of them in another form."""
    trained = generate.problems("train", 20, 0)
    trained[7] = TESTED[3]
    trained[11] = Problem(TESTED[5].question.upper(), "#### 1")
    write_problems(tmp_path / "test.jsonl", TESTED)
    write_problems(tmp_path / "train.jsonl", trained)

    def run(*flags):
        given = {"--test": "test.jsonl", "--train": "train.jsonl", "--output": "out"}
        given |= dict(flag.split("=", 1) for flag in flags)
        return subprocess.run(
            [*COMMAND, *(f"{name}={value}" for name, value in given.items())],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def pairs(folder):
    return [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]


def test_writes_pairs_and_counts_and_warns(run, tmp_path):
    plain = "\n".join(["A book of riddles."] * 2000 + TESTED[8].question.split(". ") + ["The end."] * 3000)
    (tmp_path / "book.txt").write_text(plain)
    deep = {"id": 7, "turns": [{"role": "user", "text": f"Please solve: {TESTED[9].question} Thank you."}]}
    (tmp_path / "chats.jsonl.gz").write_bytes(gzip.compress(b"{}\n" + json.dumps(deep).encode() + b"\n"))
    done = run("--corpus=book.txt,chats.*", "--workers=2")
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert told[0] == (
        "warning: 2 of the 30 test problems are among the training problems: accuracy on them says nothing"
    )
    assert [line.partition(" is ")[2].partition(",")[0] for line in told[1:]] == ["in book.txt", "in chats.jsonl.gz"]
    found = {(pair["test"], pair["corpus"], pair["row"], pair["kind"]) for pair in pairs(tmp_path / "out")}
    assert {
        (3, None, 8, "same_text"), (5, None, 12, "same_words"), (8, "book.txt", 2001, "same_words"),
        (9, "chats.jsonl.gz", 2, "same_text"),
    } <= found  # fmt: skip
    result = json.loads((tmp_path / "out" / "contamination.json").read_text())
    assert result["listed"] == len(pairs(tmp_path / "out"))
    assert (result["test"]["count"], result["train"]["count"]) == (30, 20)
    assert result["train"]["found"]["same_text"] == {"test_problems": 1, "pairs": 1}
    assert result["made_by"]["code"]
    assert all(len(pair["text"]) < 3_000 for pair in pairs(tmp_path / "out"))

    files = [(tmp_path / "out" / name).read_bytes() for name in ("pairs.jsonl", "contamination.json")]
    assert run("--corpus=book.txt,chats.*", "--workers=1").returncode == 0
    assert [(tmp_path / "out" / name).read_bytes() for name in ("pairs.jsonl", "contamination.json")] == files


def test_problems_that_are_there_many_times(run, tmp_path):
    write_problems(tmp_path / "test.jsonl", [TESTED[0]] * 300)
    write_problems(tmp_path / "train.jsonl", [TESTED[0]] * 2_000)
    done = run()
    assert "300 of the 300 test problems" in done.stderr
    assert "300 in 600,000 pairs" in done.stdout
    assert len(pairs(tmp_path / "out")) == 300 * LISTED


def test_of_a_rows_texts_the_one_most_like_a_problem_counts(run, tmp_path):
    """MetaMathQA's layout: the question with another number, and as it was."""
    row = {
        "query": re.sub(r"\d+", "77", TESTED[4].question),
        "original_question": TESTED[4].question,
        "response": "a\nb",
    }
    (tmp_path / "meta.jsonl").write_text(json.dumps(row) + "\n")
    done = run("--corpus=meta.jsonl", "--workers=1")
    assert done.stderr.splitlines()[-1] == "warning: 1 of the 30 test problems is in meta.jsonl, 3 texts"
    own = [pair for pair in pairs(tmp_path / "out") if (pair["test"], pair["corpus"]) == (4, "meta.jsonl")]
    assert [(pair["kind"], pair["row"]) for pair in own] == [("same_text", 1)]


def test_a_folder_that_cannot_be_written_is_told_before_the_search(tmp_path, monkeypatch):
    write_problems(tmp_path / "a.jsonl", TESTED)
    monkeypatch.setattr(comparing, "_in_training", None)
    (tmp_path / "out").write_text("a file")
    problems = str(tmp_path / "a.jsonl")
    with pytest.raises(UserError, match=r"cannot write .*out"):
        comparing.compare(problems, problems, (), tmp_path / "out", task="gsm8k", workers=1)
    (tmp_path / "taken").mkdir()
    for read in ("contamination.json", "pairs.jsonl"):
        write_problems(tmp_path / "taken" / read, TESTED)
        with pytest.raises(UserError, match=f"{read} is to be read and written"):
            comparing.compare(problems, str(tmp_path / "taken" / read), (), tmp_path / "taken", task="gsm8k", workers=1)
    with one_writer(tmp_path / "taken"), pytest.raises(UserError, match="taken is being written by process"):
        comparing.compare(problems, problems, (), tmp_path / "taken", task="gsm8k", workers=1)


def test_odd_questions(run, tmp_path):
    odd = ["", " ", "Why?", "x" * 1_000_000, "多少个苹果？", "Þóra hat drei Äpfel. \ud800", "?!"]
    write_problems(tmp_path / "test.jsonl", [Problem(text, "#### 1") for text in odd])
    write_problems(tmp_path / "train.jsonl", [Problem(text, "#### 1") for text in reversed(odd)])
    done = run("--corpus=train.jsonl")
    assert done.returncode == 0, done.stderr
    same = {pair["test"] for pair in pairs(tmp_path / "out") if pair["kind"] == "same_text"}
    assert same == {2, 3, 4, 5, 6}  # what is empty is in everything, and says nothing
    assert max(len(pair["text"]) for pair in pairs(tmp_path / "out")) < 3_000


@pytest.mark.parametrize(
    ("flags", "told", "code"),
    [
        (["--train=none.jsonl"], "no such file: none.jsonl", 1),
        (["--train=empty"], "empty holds no problem", 1),
        (["--corpus=latin.txt"], "latin.txt:2: not UTF-8 at byte 4 of the line", 1),
        (["--corpus=broken.jsonl"], "broken.jsonl:1: not JSON", 1),
        (["--corpus=nothing*.txt"], "no file matches nothing*.txt", 1),
        (['--corpus=a,"b'], "--corpus: unclosed double quote", 2),
        (["--task=gsm9k"], "gsm9k", 1),
        (["--output=gs://bucket/x"], "--output", 1),
    ],
)
def test_mistakes_are_one_line(run, tmp_path, flags, told, code):
    (tmp_path / "empty").write_text("")
    (tmp_path / "latin.txt").write_bytes("one\ncaf\u00e9\n".encode("latin-1"))
    (tmp_path / "broken.jsonl").write_text('{"text": 1,}\n')
    done = run(*flags)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert told in done.stderr
    assert not (tmp_path / "out").exists()
