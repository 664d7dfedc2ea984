"""Paths are joined to the problems they were sampled from, or nobody is."""

import gzip
import json
import random

import pytest

from rft_jax.errors import UserError
from rft_jax.records import manifest
from rft_jax.records.problem import Problem

PROBLEMS = [Problem(f"Question {number}?", f"#### {number}") for number in range(5)]


@pytest.fixture
def paths(tmp_path):
    """Returns a folder of path files with their manifest, as sampling leaves it."""
    folder = tmp_path / "out" / "paths"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.jsonl").write_text("{}\n")
    write(folder, manifest.of_problems(PROBLEMS))
    return folder


def write(folder, told):
    (folder / manifest.NAME).write_text(json.dumps({"temperature": 0.7, manifest.FIELD: told}))


def files(folder):
    return sorted(folder.glob("*.jsonl*"))


OTHERS = {
    "a line is lost": PROBLEMS[1:],
    "a line is added": [*PROBLEMS, Problem("One more?", "#### 9")],
    "sorted anew": PROBLEMS[::-1],
    "shuffled": random.Random(1).sample(PROBLEMS, 5),
    "a question is another": [*PROBLEMS[:-1], Problem("Question 44?", "#### 4")],
    "one asked twice": [*PROBLEMS[:-1], PROBLEMS[0]],
    "turns before": [Problem(each.question, each.response, (("user", "Hi"),)) for each in PROBLEMS],
    "a question is cut": [Problem(each.question[:-1], each.response) for each in PROBLEMS],
}


def test_the_same_problems_pass_whatever_their_gold_answers(paths):
    corrected = [Problem(each.question, "#### 7") for each in PROBLEMS]
    for problems in (PROBLEMS, corrected):
        assert manifest.check(files(paths), problems, "train.jsonl") == []


@pytest.mark.parametrize("kind", OTHERS)
def test_other_problems_are_refused_and_both_named(paths, kind):
    with pytest.raises(UserError) as refused:
        manifest.check(files(paths), OTHERS[kind], "train.jsonl")
    message = str(refused.value)
    assert str(paths) in message
    assert "train.jsonl" in message
    assert "\n" not in message


def test_the_problem_file_is_named_where_the_manifest_tells_it(paths):
    write(paths, manifest.of_problems(PROBLEMS) | {"file": "old.jsonl"})
    with pytest.raises(UserError, match=r"old\.jsonl.*than train\.jsonl"):
        manifest.check(files(paths), OTHERS["sorted anew"], "train.jsonl")


def test_compressed_copies_and_links_belong_too(paths, tmp_path):
    (paths / "0.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    linked, folder_link = tmp_path / "elsewhere" / "a.jsonl", tmp_path / "link"
    linked.parent.mkdir()
    linked.symlink_to(paths / "1.jsonl")
    folder_link.symlink_to(paths)
    beside_a_manifest = tmp_path / "copied"
    beside_a_manifest.mkdir()
    (beside_a_manifest / "b.jsonl").symlink_to(tmp_path / "bare.jsonl")
    (tmp_path / "bare.jsonl").write_text("{}\n")
    write(beside_a_manifest, manifest.of_problems(PROBLEMS))
    for file in (paths / "0.jsonl.gz", linked, folder_link / "2.jsonl", beside_a_manifest / "b.jsonl"):
        assert manifest.check([file], PROBLEMS, "x") == []
        with pytest.raises(UserError):
            manifest.check([file], OTHERS["sorted anew"], "x")


def test_a_link_belongs_where_its_target_does(paths, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write(other, manifest.of_problems(OTHERS["sorted anew"]))
    (other / "a.jsonl").symlink_to(paths / "0.jsonl")
    assert manifest.check([other / "a.jsonl"], PROBLEMS, "x") == []


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "null", '{"temperature": 0.7}', '{"problems": 3}', '{"problems": {"count": "5"}}',
        '{"problems": {"count": 5, "fingerprint": null}}', "[" * 100_000, "\udcff",
    ],
)  # fmt: skip
def test_what_names_no_problems_cannot_be_checked(paths, text):
    (paths / manifest.NAME).write_text(text, errors="surrogateescape")
    assert manifest.check(files(paths), OTHERS["sorted anew"], "x") == [str(file) for file in files(paths)]


def test_without_a_manifest_the_files_are_returned(paths):
    (paths / manifest.NAME).unlink()
    assert len(manifest.check(files(paths), PROBLEMS, "x")) == 3
