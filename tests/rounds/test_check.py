"""The command: what it writes, and what it refuses, in one line each."""

import json
import subprocess
import sys
from pathlib import Path as File

import pytest

from rft_jax.errors import UserError
from rft_jax.records.path import read_paths, write_paths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.rounds import record
from rft_jax.rounds.check import check
from rft_jax.rounds.record import Record
from tests.rounds import made

ROOT = File(__file__).parents[2]
WAYS = [[1, 2, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [3, 0, 2, 1]]


def checked(folder: File, pattern: str, previous: File | None = None) -> Record:
    found, _ = check(
        str(folder / "problems.jsonl"), [pattern], task="gsm8k", previous=None if previous is None else str(previous)
    )
    return found


@pytest.fixture
def first(tmp_path: File) -> File:
    """Returns the round.json of a first round, of four problems and four samples."""
    pattern = made.write(tmp_path / "first", WAYS, logprobs=True)
    checked(tmp_path / "first", pattern).write(tmp_path / "first.json")
    return tmp_path / "first.json"


def test_what_is_written_is_read_again_and_carries_the_rounds_before(tmp_path: File, first: File) -> None:
    for number in (2, 3):
        pattern = made.write(tmp_path / str(number), WAYS, model=f"m{number}", logprobs=True)
        before = first if number == 2 else tmp_path / "2.json"
        found = checked(tmp_path / str(number), pattern, before)
        found.write(tmp_path / f"{number}.json")
        assert record.read(tmp_path / f"{number}.json") == found
    third = record.read(tmp_path / "3.json")
    assert [each.model for each in third.rounds] == ["m", "m2", "m3"]
    assert [each.number for each in third.rounds] == [1, 2, 3]
    assert third.rounds[0] == record.read(first).rounds[0]
    assert third.first == record.read(first).first
    assert third.stop is not None
    assert third.stop.startswith("no gain: pass@1 +0.0 (+0.0 to +0.0) points against round 2")
    assert "made_by" in json.loads((tmp_path / "3.json").read_text())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ways": WAYS[:3]}, r"first.json is of other problems than .*problems.jsonl, which has 3 \(4 of them\)"),
        ({"ways": [ways[:2] for ways in WAYS]}, "has 4 samples of each problem and this round 2: pass@k"),
        (
            {"settings": {"temperature": 0.4}},
            r"first.json was sampled with other settings than this round \(temperature 0.9 and 0.4\)",
        ),
        ({"settings": {"top_p": 0.9}}, r"top_p None and 0.9"),
        ({"ways": [*WAYS[:3], [1, 1]]}, "sample 2 of problem 3 is missing"),
    ],
)
def test_rounds_that_cannot_be_compared_are_refused(
    tmp_path: File, first: File, change: dict[str, object], told: str
) -> None:
    pattern = made.write(tmp_path / "next", **{"ways": WAYS, "logprobs": True} | change)
    with pytest.raises(UserError, match=told):
        checked(tmp_path / "next", pattern, first)


def test_other_problems_of_the_same_number_are_refused(tmp_path: File, first: File) -> None:
    pattern = made.write(tmp_path / "next", WAYS)
    write_problems(tmp_path / "next" / "problems.jsonl", made.problem_set(4)[::-1])
    (tmp_path / "next" / "paths" / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"which has 4 \(as many, but others or in another order"):
        checked(tmp_path / "next", pattern, first)


def test_why_there_is_no_entropy(tmp_path: File) -> None:
    pattern = made.write(tmp_path, WAYS)
    [found] = checked(tmp_path, pattern).rounds
    assert found.figures["entropy_per_token"] is None
    assert found.entropy_note == "the paths have no log-probabilities: sample with --config.logprobs=True"
    made.write(tmp_path, WAYS, logprobs=True, settings={"top_k": 50})
    [found] = checked(tmp_path, pattern).rounds
    assert found.figures["entropy_per_token"] is None
    assert "drawn with top_k" in found.entropy_note
    (tmp_path / "paths" / "manifest.json").unlink()
    [found] = checked(tmp_path, pattern).rounds
    assert found.figures["entropy_per_token"] is None
    assert found.entropy_note.startswith("no manifest tells")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("none", "has no log-probabilities, and sample 0 of problem 0 in .* has: sample all with them"),
        ("short", "sample 1 of problem 2 in .* has 5 tokens and 4 log-probabilities"),
        ("above", "sample 1 of problem 2 in .* has a log-probability that is none"),
        ("infinite", "sample 1 of problem 2 in .* has a log-probability that is none"),
    ],
)
def test_odd_log_probabilities_are_refused(tmp_path: File, damage: str, told: str) -> None:
    pattern = made.write(tmp_path, WAYS, logprobs=True)
    file = tmp_path / "paths" / "a.jsonl"
    paths = list(read_paths(file))
    place = next(n for n, path in enumerate(paths) if (path.problem, path.sample) == (2, 1))
    own = paths[place].logprobs
    assert own is not None
    changed = {
        "none": None,
        "short": own._replace(sampled=own.sampled[:-1], at_1=own.at_1[:-1]),
        "above": own._replace(sampled=(0.5, *own.sampled[1:])),
        "infinite": own._replace(sampled=(float("-inf"), *own.sampled[1:])),
    }[damage]
    paths[place] = paths[place]._replace(logprobs=changed)
    write_paths(file, paths)
    with pytest.raises(UserError, match=told):
        checked(tmp_path, pattern)


def test_paths_sampled_in_two_ways_are_no_round(tmp_path: File) -> None:
    made.write(tmp_path / "one", WAYS)
    made.write(tmp_path / "other", WAYS, settings={"temperature": 1.0})
    paths = list(read_paths(tmp_path / "one" / "paths" / "a.jsonl"))
    write_paths(tmp_path / "one" / "paths" / "a.jsonl", paths[:8])
    write_paths(tmp_path / "other" / "paths" / "a.jsonl", paths[8:])
    with pytest.raises(UserError, match=r"were not sampled alike \(temperature 0.9 and 1.0\)"):
        check(
            str(tmp_path / "one" / "problems.jsonl"),
            [f"{tmp_path}/{name}/paths/*.jsonl" for name in ("one", "other")],
            task="gsm8k",
        )


def test_what_the_ledger_refuses_is_told_in_words_that_fit(tmp_path: File) -> None:
    pattern = made.write(tmp_path, WAYS)
    file = tmp_path / "paths" / "a.jsonl"
    whole = list(read_paths(file))
    for change, told in (
        ({"model": "other"}, r"a path of 'other' after those of 'm': name the paths of one model"),
        ({"tokens": None}, r"sample 1 of problem 0 has no number of tokens: what it took cannot be told"),
    ):
        write_paths(file, [whole[0], whole[1]._replace(**change), *whole[2:]])
        with pytest.raises(UserError, match=told):
            checked(tmp_path, pattern)
    write_problems(tmp_path / "problems.jsonl", [*made.problem_set(3), Problem("What?", "nothing")])
    with pytest.raises(UserError, match="reads no answer in the gold response 'nothing'") as refused:
        checked(tmp_path, pattern)
    assert "budget" not in str(refused.value)


def test_one_problem_says_nothing_on_others(tmp_path: File) -> None:
    pattern = made.write(tmp_path, WAYS[:1])
    with pytest.raises(UserError, match="has one problem"):
        checked(tmp_path, pattern)


def test_a_previous_round_that_is_not_there(tmp_path: File) -> None:
    pattern = made.write(tmp_path, WAYS)
    with pytest.raises(UserError, match=r"cannot read .*no.json: No such file or directory"):
        checked(tmp_path, pattern, tmp_path / "no.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no round.json that this version can read"),
        ("[]", "is no round.json that this version can read"),
        ('{"rounds": []}', "missing required field"),
        ("CUT", "is no round.json that this version can read"),
        ("FEWER", '"right" has 3 numbers, not 4'),
        ("IMPOSSIBLE", "its numbers cannot be those of a round"),
        ("NO PROBLEM", "0 problems with 4 samples each are no round"),
        ("NO ROUND", "its rounds are not numbered from 1"),
        ("NO FIGURE", "a round lacks a figure"),
    ],
)
def test_what_is_no_round_is_refused(first: File, tmp_path: File, text: str, told: str) -> None:
    whole = first.read_text()
    fields = json.loads(whole)
    match text:
        case "CUT":
            text = whole[: len(whole) // 2]
        case "FEWER":
            fields["last"]["right"].pop()
        case "IMPOSSIBLE":
            fields["first"]["right"][0] = 5
        case "NO PROBLEM":
            fields["asked"]["problems"] = 0
            fields["first"] = fields["last"] = {"right": [], "distinct": [], "tokens": [], "nats": None}
        case "NO ROUND":
            fields["rounds"] = []
        case "NO FIGURE":
            del fields["rounds"][0]["figures"]["pass@1"]
    made_of = text if text not in ("FEWER", "IMPOSSIBLE", "NO PROBLEM", "NO ROUND", "NO FIGURE") else json.dumps(fields)
    (tmp_path / "odd.json").write_text(made_of)
    pattern = made.write(tmp_path / "next", WAYS)
    with pytest.raises(UserError, match=told):
        checked(tmp_path / "next", pattern, tmp_path / "odd.json")


def run(folder: File, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "launch/check_round.py", f"--problems={folder}/problems.jsonl",
        f"--paths={folder}/paths/*.jsonl", *more,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_command(tmp_path: File) -> None:
    pattern = made.write(tmp_path, WAYS, logprobs=True)
    checked(tmp_path, pattern).write(tmp_path / "one.json")
    done = run(tmp_path, f"--output={tmp_path}/two.json", f"--previous={tmp_path}/one.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "distinct@4" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("round 2: stop: no gain: pass@1 +0.0")
    assert record.read(tmp_path / "two.json").stop is not None
    for more, told in (
        ([f"--output={tmp_path}/x/one.json"], "give the name of a file in a folder that exists"),
        ([f"--output={tmp_path}/one.json", f"--previous={tmp_path}/one.json"], "is to be read and written"),
        ([f"--output={tmp_path}/new.json", "--previous=gs://bucket/one.json"], "--previous=gs://bucket/one.json"),
    ):
        done = run(tmp_path, *more)
        assert (done.returncode, done.stdout.count("\n") <= 1) == (1, True), done.stdout
        assert told in done.stderr
        assert done.stderr.count("\n") == 1
    assert sorted(file.name for file in tmp_path.glob("*.json")) == ["one.json", "two.json"]
