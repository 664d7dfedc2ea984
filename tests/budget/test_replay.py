"""A replay on paths: what is counted, and which paths are refused."""

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path as File

import numpy as np
import pytest

from rft_jax.budget import ledger as ledgers
from rft_jax.budget import replay
from rft_jax.budget.ledger import Ledger
from rft_jax.budget.outcome import Grading
from rft_jax.budget.parse import parse
from rft_jax.errors import UserError
from rft_jax.records import manifest
from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.report import replay as report
from rft_jax.select.selection import select
from tests.budget import made

ROOT = File(__file__).parents[2]
PROBLEMS = [Problem(f"Question {number}?", f"#### {number}") for number in range(3)]


def path(problem: int, sample: int, equations: str, *, right: bool = True, tokens: int = 10) -> Path:
    answer = problem if right else problem + 1
    return Path(problem, sample, "m", f"{equations}\n#### {answer}", tokens, "eos")


def by_hand() -> list[Path]:
    """Problem 0: two ways, the second at sample 2; 1: right at 2, with a false equation, and at 3; 2: never right."""
    a, b, false = "<<1+1=2>>", "<<2*1=2>>", "<<1+1=3>>"
    return [
        path(0, 0, a), path(0, 1, a, tokens=20), path(0, 2, b), path(0, 3, a),
        path(1, 0, a, right=False), path(1, 1, b, right=False), path(1, 2, false), path(1, 3, b, tokens=5),
        *(path(2, sample, a, right=False, tokens=7) for sample in range(4)),
    ]  # fmt: skip


def write(folder: File, paths: list[Path]) -> None:
    folder.mkdir(exist_ok=True)
    write_problems(folder / "problems.jsonl", PROBLEMS)
    write_paths(folder / "a.jsonl", paths)


def read(folder: File, **settings: str) -> Ledger:
    return ledgers.read(str(folder / "problems.jsonl"), [f"{folder}/*a.jsonl"], task="gsm8k", **settings)


def counts(found: Ledger, text: str) -> list[int]:
    [told] = replay.replay(found, replay.parse_all([text], found))["policies"]
    return [told[name] for name in ("samples", "tokens", "right", "distinct", "never_solved")]


def test_by_hand(tmp_path: File) -> None:
    paths = by_hand()
    random.Random(0).shuffle(paths)
    write(tmp_path, paths)
    found = read(tmp_path)
    assert (found.problems, found.k, found.model, found.grader) == (3, 4, "m", "reference")
    # Right with a false equation is right, but not distinct.
    assert counts(found, "uniform") == [12, 113, 6, 3, 1]
    assert counts(found, "uniform=2") == [6, 64, 2, 1, 2]
    assert counts(found, "distinct=1") == [1 + 4 + 4, 10 + 35 + 28, 1 + 2, 2, 1]
    assert counts(found, "distinct=2") == [3 + 4 + 4, 40 + 35 + 28, 3 + 2, 3, 1]
    assert counts(found, "correct=1") == [1 + 3 + 4, 10 + 30 + 28, 1 + 1, 1, 1]
    assert counts(found, "proportional=2:first=2") == [2 + 4 + 4, 30 + 35 + 28, 2 + 2, 2, 1]
    assert counts(found, "tokens=1e6:first=1") == counts(found, "uniform")
    [told] = replay.replay(found, replay.parse_all(["distinct=2"], found))["policies"]
    assert told["share"] == {"tokens": 103 / 113, "distinct": 1.0}
    assert told["pass_at_k"] == {"1": 1 / 3, "2": 1 / 3}
    # Uniform has 91 tokens and 2 distinct paths with three samples each, 113 and 3 with four; both never solve 2.
    assert told["uniform"] == pytest.approx({"distinct": 2 + (103 - 91) / (113 - 91), "never_solved": 1})
    assert [point["budget"] for point in told["curve"]] == ["distinct=1", "distinct=2", "distinct=3", "distinct=4"]


def test_uniform_is_what_the_selection_counts(tmp_path: File) -> None:
    """Right, distinct and never solved, and at every k, are those of the selector."""
    write(tmp_path, by_hand())
    found = read(tmp_path)
    stats = select(
        str(tmp_path / "problems.jsonl"), [str(tmp_path / "a.jsonl")], str(tmp_path / "out.jsonl"),
        rules="paper", ks=[1, 2, 3], workers=1,
    )  # fmt: skip
    for k, values in stats["united"]["at_k"].items():
        [told] = replay.replay(found, [parse(f"uniform={k}", 4)])["policies"]
        assert told["right"] == pytest.approx(3 * values["correct"])
        assert told["distinct"] == pytest.approx(3 * values["distinct"])
    assert told["never_solved"] == len(stats["never_solved"])
    assert told["pass_at_k"] == {k: stats["united"]["at_k"][k]["pass_at_k"] for k in ("1", "2", "4")}


@pytest.mark.parametrize("text", ["uniform", "distinct=3", "correct=2", "proportional", "boundary", "tokens=40000"])
def test_the_replay_takes_what_a_run_takes(text: str) -> None:
    outcomes = made.ledger(5)
    rows = [[(each.right, -1 if each.key is None else each.key, each.tokens) for each in of] for of in outcomes]
    table = np.array(rows)
    found = Ledger(table[:, :, 0].astype(bool), table[:, :, 1], table[:, :, 2], "m", "g")
    policy = parse(text, found.k)
    taken = replay.wanted(policy, found)
    assert taken == list(made.run(policy, outcomes, seed=9).wanted)
    kept = [of[:end] for of, end in zip(outcomes, taken, strict=True)]
    flat = list(itertools.chain.from_iterable(kept))
    assert counts(found, text) == [
        len(flat),
        sum(each.tokens for each in flat),
        sum(each.right for each in flat),
        sum(len({each.key for each in of} - {None}) for of in kept),
        sum(not any(each.right for each in of) for of in kept),
    ]


def test_what_runs_on_or_is_too_long_is_right_but_not_distinct() -> None:
    """As the selection has it."""
    grading = Grading(PROBLEMS, "p", "gsm8k")
    one = path(0, 0, "<<1+1=2>>")
    assert grading.outcome(one).key == grading.outcome(one._replace(response="so <<1+1=2>>\n#### 0")).key is not None
    run_on = one._replace(response=one.response + "\nQuestion: 2?\n<<2+2=4>>\n#### 0", finish="length")
    for odd in (run_on, path(0, 0, "<<1+1=2>>" * 2000), path(0, 0, "<<1+1=3>>")):
        assert grading.outcome(odd)[:2] == (True, None)
    assert grading.outcome(path(0, 0, "<<1+1=2>>", right=False))[:2] == (False, None)


def without(paths: list[Path], *gone: tuple[int, int]) -> list[Path]:
    return [each for each in paths if each[:2] not in gone]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            without(by_hand(), (1, 2)),
            "sample 2 of problem 1 is missing: samples 0 to 3 of every problem are needed",
        ),
        (without(by_hand(), (2, 0), (2, 1), (1, 3)), "sample 3 of problem 1 is missing, and 1 more problems lack some"),
        ([each for each in by_hand() if each.problem], "sample 0 of problem 0 is missing"),
        ([*by_hand(), by_hand()[5]], r"a.jsonl:13: sample 1 of problem 1 was there before: name each file once"),
        ([*by_hand()[:-1], by_hand()[-1]._replace(model="n")], "a.jsonl:12: a path of 'n' after those of 'm': name"),
        ([*by_hand()[:-1], by_hand()[-1]._replace(tokens=None)], "a.jsonl:12: sample 3 of problem 2 has no number of"),
        ([path(0, 0, "", tokens=10**400), *by_hand()[1:]], "a.jsonl:1: sample 0 of problem 0 has more tokens than any"),
        ([*by_hand(), path(0, 10**30, "")], "sample 4 of problem 0 is missing, and 2 more problems lack some"),
        ([*by_hand(), path(3, 0, "")], "a.jsonl:13: there is no problem 3"),
        ([], "no path in the 1 files"),
    ],
)
def test_a_ledger_that_is_not_whole_is_refused(tmp_path: File, paths: list[Path], message: str) -> None:
    write(tmp_path, paths)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


def test_paths_of_other_problems_are_refused(tmp_path: File) -> None:
    write(tmp_path, by_hand())
    others = manifest.of_problems(list(reversed(PROBLEMS)))
    (tmp_path / "manifest.json").write_text(json.dumps({"problems": others, "name": "m"}))
    with pytest.raises(UserError, match="were sampled from other problems than"):
        read(tmp_path)


def test_budgets_that_the_ledger_cannot_show(tmp_path: File) -> None:
    write(tmp_path, by_hand())
    found = read(tmp_path)
    with pytest.raises(UserError, match=r"first 2 samples of each problem have 64 tokens: .* tokens=50:first=1"):
        replay.parse_all(["tokens=50:first=2"], found)
    with pytest.raises(UserError, match="there are at most k = 4 samples"):
        replay.parse_all(["uniform", "distinct=5"], found)
    with pytest.raises(UserError, match="no budgets to replay"):
        replay.parse_all([], found)


def test_gold_answers_that_nobody_can_read() -> None:
    with pytest.raises(UserError, match=r"needs gold answers, or take budget=uniform: p:2: the grader 'reference'"):
        Grading([PROBLEMS[0], Problem("?", "none")], "p", "gsm8k")


@pytest.fixture
def command(tmp_path: File) -> Callable[..., subprocess.CompletedProcess[str]]:
    write(tmp_path / "in", by_hand())

    def run(**given: str) -> subprocess.CompletedProcess[str]:
        settings = {"problems": "in/problems.jsonl", "paths": "in/a.jsonl", "budgets": "uniform,distinct=2"} | given
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        return subprocess.run(
            [sys.executable, str(ROOT / "launch" / "replay.py"), *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_the_command(command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: File) -> None:
    done = command(output="out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "distinct=2       11     103" in done.stdout
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"replay.json", "replay.html"}
    result = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert result["uniform"]["tokens"] == 113
    page = (tmp_path / "out" / "replay.html").read_text()
    assert page == report.html(result)
    assert page.count("<svg ") == 3
    assert "whatever they show: 4 of uniform, 2 of distinct=2. Where sampling stops by what was found" in page


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budgets": "uniform,dstinct=2"}, "error: budget 'dstinct=2' (did you mean 'distinct'?): give uniform"),
        ({"paths": "nowhere/*.jsonl"}, "error: no file matches --paths=nowhere/*.jsonl"),
        ({"output": "in/a.jsonl"}, "error: cannot write in/a.jsonl: it is a file; give --output a folder"),
        ({"output": "no/such"}, "error: cannot write no/such: the folder no does not exist"),
    ],
)
def test_the_commands_mistakes(
    command: Callable[..., subprocess.CompletedProcess[str]], given: dict[str, str], message: str
) -> None:
    done = command(**given)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
