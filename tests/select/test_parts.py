"""Parts and their merge write what one process writes, byte for byte, or say what is wrong."""

import itertools
import json
import os
import random
from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.one_writer import one_writer
from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import write_problems
from rft_jax.select import parts, passes
from rft_jax.select.part import Part
from tests.select.in_parts import in_parts, job, taken, whole, write_checksum, write_data, write_shards
from tests.select.selection import PROBLEMS, ks_of, path_lists, shuffled
from tests.select.test_criteria import SHORTEST
from tests.shared_data import shared


@pytest.fixture
def data(tmp_path: File) -> File:
    write_data(tmp_path)
    (tmp_path / "shortest.py").write_text(SHORTEST)
    return tmp_path


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])  # there are 12 problems
@pytest.mark.parametrize("rules", ["paper", "nearest", "random:5", "reference", "none", "shortest.py"])
def test_parts_write_what_one_process_writes(data: File, rules: str, count: int) -> None:
    given = job(data, rules=f"{data}/{rules}" if rules.endswith(".py") else rules)
    expected = whole(given)
    assert json.loads(expected["out.jsonl.stats.json"])["repeated_lines"] == 10
    order = random.Random(count).sample(range(count), count)
    assert in_parts(given, count, order, piece_bytes=2_000) == expected
    assert set(expected) == {"out.jsonl", "out.k1.jsonl", "out.k3.jsonl", "out.jsonl.stats.json"}


@pytest.mark.parametrize(
    "settings",
    [
        {"grader": "robust"},
        {"grader": "robust", "audits": []},
        {"output": "out.jsonl.gz", "ks": []},
        {"output": "out.jsonl.zst"},
        {"task": "math", "grader": "boxed", "audits": ["reference"], "ks": [2]},
    ],
)
def test_with_other_graders_and_outputs(data: File, settings: dict[str, object]) -> None:
    if settings.get("task") == "math":
        problems = [json.loads(line) for line in (data / "problems.jsonl").read_text().splitlines()]
        boxed = [
            {"problem": row["question"], "solution": f"\\boxed{{{number}}}"} for number, row in enumerate(problems)
        ]
        (data / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in boxed))
        answers = itertools.product(range(12), range(6))
        write_paths(
            data / "a.jsonl", [Path(p, s, "m", f"So \\boxed{{{p + s % 2}}}. {'#### 5' * s}") for p, s in answers]
        )
        given = job(data, "a.jsonl", **settings)
    else:
        given = job(data, **settings)
    assert in_parts(given, 3) == whole(given)


@settings(max_examples=20)
@given(path_lists(), st.integers(0, 99), st.integers(1, 3), st.integers(1, 6), st.sampled_from(["paper", "reference"]))
def test_any_paths_in_any_files(
    tmp_path_factory: pytest.TempPathFactory, paths: list[Path], seed: int, files: int, count: int, rules: str
) -> None:
    folder = tmp_path_factory.mktemp("paths")
    write_problems(folder / "problems.jsonl", PROBLEMS)
    for number, some in enumerate(shuffled(paths, seed, files)):
        write_paths(folder / f"{number}.jsonl", some)
    given = job(folder, *(f"{number}.jsonl" for number in range(files)), rules=rules, ks=ks_of(paths, 1, 3))
    assert in_parts(given, count, piece_bytes=150) == whole(given)


def test_the_golden_set(tmp_path: File) -> None:
    golden = shared("golden/selector")
    for name in ("problems.jsonl", "paths.jsonl"):
        (tmp_path / name).symlink_to(golden / name)
    given = job(tmp_path, "paths.jsonl", rules="reference")
    expected = whole(given)
    assert in_parts(given, 7) == expected
    assert expected["out.jsonl"] == (golden / "selected.jsonl").read_bytes()


def test_in_two_processes(data: File, monkeypatch: pytest.MonkeyPatch) -> None:
    given = job(data)
    expected = whole(given)
    monkeypatch.setattr(passes, "_WORTH_A_PROCESS", 1)
    for index in range(2):
        parts.write(given, Part(index, 2), 2, piece_bytes=10_000)
    parts.merge(given)
    assert {name: content for name, content in taken(given).items() if ".part-" not in name} == expected


def test_the_order_of_models_is_that_of_all_paths(tmp_path: File) -> None:
    # To a part alone the models would seem to come as b, a.
    write_problems(tmp_path / "problems.jsonl", PROBLEMS)
    right = "<<1+1=2>>\n#### 45"
    write_paths(tmp_path / "1.jsonl", [Path(0, 0, "a", "#### 42")])
    write_paths(tmp_path / "2.jsonl", [Path(3, 0, "b", f"{right} b")])
    write_paths(tmp_path / "3.jsonl", [Path(3, 1, "a", f"{right} a")])
    given = job(tmp_path, "1.jsonl", "2.jsonl", "3.jsonl", rules="none", ks=[1])
    expected = whole(given)
    assert [json.loads(row).get("model") for row in expected["out.jsonl"].splitlines()][-2:] == ["a", "b"]
    assert in_parts(given, 2) == expected


class TestShards:
    """Files of `sample` say what they hold, so that each part reads its own only."""

    @pytest.fixture
    def shards(self, data: File) -> list[File]:
        paths = write_data(data)
        return [file for model in "zy" for file in write_shards(data / model, paths, data / "problems.jsonl", model)]

    PATTERNS = "z/*.jsonl", "a.jsonl", "y/*.jsonl"

    @pytest.mark.parametrize("count", [2, 3, 7])
    def test_the_same_bytes(self, data: File, shards: list[File], count: int) -> None:
        given = job(data, *self.PATTERNS)
        assert in_parts(given, count) == whole(given)

    def test_others_are_not_read(self, data: File, shards: list[File]) -> None:
        given = job(data, *self.PATTERNS)
        parts.write(given, Part(0, 3), 1)
        shards[0].write_text("damaged")
        for index in (1, 2):
            parts.write(given, Part(index, 3), 1)
        with pytest.raises(UserError, match=r"00000-00003.000-049.jsonl is not what was written, its checksum differs"):
            parts.write(given, Part(0, 3), 1)
        with pytest.raises(UserError, match="is of other settings"):
            parts.merge(job(data, *self.PATTERNS))

    def test_a_name_that_lies_is_told(self, data: File, shards: list[File]) -> None:
        shards[0].write_bytes(shards[1].read_bytes())
        write_checksum(shards[0])
        with pytest.raises(
            UserError, match=r"00000-00003.000-049.jsonl:1: problem \d in a file whose name says 0 to 3"
        ):
            parts.write(job(data, *self.PATTERNS), Part(0, 3), 1)

    def test_a_manifest_that_lies_is_told(self, data: File, shards: list[File]) -> None:
        told = json.loads((data / "z" / "manifest.json").read_text())
        (data / "z" / "manifest.json").write_text(json.dumps(told | {"name": "w"}))
        given = job(data, *self.PATTERNS)
        for index in range(2):
            parts.write(given, Part(index, 2), 1)
        with pytest.raises(UserError, match="names another model than they do; select without --part"):
            parts.merge(given)

    def test_without_a_checksum_all_is_read(self, data: File, shards: list[File]) -> None:
        for file in shards:
            file.with_name(f"{file.name}.sha256").unlink()
        shards[0].write_bytes(shards[1].read_bytes())  # names lie, which is nobody's business now
        given = job(data, *self.PATTERNS)
        assert in_parts(given, 3) == whole(given)


def test_a_wrong_line_is_told_by_the_part_that_it_belongs_to(data: File) -> None:
    lines = (data / "a.jsonl").read_bytes().splitlines(keepends=True)
    number, line = next((number, line) for number, line in enumerate(lines) if b'"problem": 11,' in line)
    lines[number] = line.replace(b'"response"', b'"answer"')
    (data / "a.jsonl").write_bytes(b"".join(lines))
    given = job(data)
    with pytest.raises(UserError) as expected:
        whole(given)
    parts.write(given, Part(0, 2), 1)
    with pytest.raises(UserError) as found:
        parts.write(given, Part(1, 2), 1)
    assert str(found.value) == str(expected.value)
    with pytest.raises(UserError, match=r"part 1/2 of .* is missing: run --part=1/2"):
        parts.merge(given)
    assert [file.name for file in given.target.parent.iterdir()] == ["out.jsonl.part-0-of-2"]


@pytest.mark.parametrize(
    "text", ["so\n", '{"problem": 12, "sample": 0, "model": "m", "response": ""}\n', '{"problem": 0}\n']
)
def test_a_line_of_nobody_is_told_by_all(data: File, text: str) -> None:
    (data / "c.jsonl").write_text(text)
    given = job(data)
    with pytest.raises(UserError) as expected:
        whole(given)
    for index in range(3):
        with pytest.raises(UserError) as found:
            parts.write(given, Part(index, 3), 1)
        assert str(found.value) == str(expected.value)


def test_two_texts_of_one_sample_are_told_by_their_part(data: File) -> None:
    write_paths(data / "c.jsonl", [Path(5, 0, "x", "another text")])
    given = job(data, "[abc].jsonl*")
    with pytest.raises(UserError, match="has another text than at") as expected:
        whole(given)
    with pytest.raises(UserError) as found:
        parts.write(given, Part(1, 3), 1)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("k", r"\(k: \[1, 3\] there, \[1\] now\): run --part=0/2 again"),
        ("rules", r"shortest.py \(.* there, .* now\)"),
        ("paths", r"path files: "),
        ("problems", r"problems: "),
        ("grader", r"graders: \[.reference., .robust.\] there, \[.robust., .reference.\] now"),
    ],
)
def test_parts_of_other_settings_are_refused(data: File, name: str, told: str) -> None:
    rules = f"{data}/shortest.py" if name == "rules" else "paper"
    given = job(data, rules=rules)
    for index in range(2):
        parts.write(given, Part(index, 2), 1)
    changed = {"k": {"ks": [1]}, "grader": {"grader": "robust"}}.get(name, {})
    if name == "rules":
        (data / "shortest.py").write_text(SHORTEST + "\n# changed\n")
    elif name == "paths":
        os.utime(data / "a.jsonl", (1, 1))
    elif name == "problems":
        (data / "problems.jsonl").write_text((data / "problems.jsonl").read_text().replace("In bags", "In the bags"))
    with pytest.raises(UserError, match=told):
        parts.merge(job(data, rules=rules, **changed))
    assert len(list(given.target.parent.iterdir())) == 2


def test_parts_of_two_divisions_or_none_are_refused(data: File) -> None:
    given = job(data)
    with pytest.raises(UserError, match=r"there are no parts of .*out.jsonl: run the same command with --part=I/N"):
        parts.merge(given)
    parts.write(given, Part(0, 1), 1)
    with pytest.raises(UserError, match=r"has parts of 1: give --part=I/1, or remove the folders .*part-\*-of-1 first"):
        parts.write(given, Part(3, 5), 1)
    one, other = given.target.parent / "out.jsonl.part-0-of-1", given.target.parent / "else"
    one.rename(other)
    parts.write(given, Part(3, 5), 1)
    other.rename(one)  # by two at once, or by hand
    with pytest.raises(UserError, match="has parts of 1 and of 5: remove the folders"):
        parts.merge(given)
    one.rename(other)
    with pytest.raises(UserError, match=r"part 0/5 of .* is missing \(and 1/5, 2/5, 4/5\): run --part=0/5"):
        parts.merge(given)


@pytest.mark.parametrize("name", ["rows", "rows.k1", "part.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_part_is_refused(data: File, name: str, damage: str) -> None:
    given = job(data)
    for index in range(2):
        parts.write(given, Part(index, 2), 1)
    file = given.target.parent / "out.jsonl.part-1-of-2" / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-5] if damage == "cut" else content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    with pytest.raises(UserError, match=r"part-1-of-2.*run --part=1/2 again"):
        parts.merge(given)
    assert not given.target.exists()
    parts.write(given, Part(1, 2), 1)
    parts.merge(given)


def test_one_merge_and_one_writer_of_a_part_at_a_time(data: File) -> None:
    given = job(data)
    for index in range(2):
        parts.write(given, Part(index, 2), 1)
    for name, work in {
        "out.jsonl": lambda: parts.merge(given),
        "out.jsonl.part-0-of-2": lambda: parts.write(given, Part(0, 2), 1),
    }.items():
        target = given.target.with_name(name)
        with (
            one_writer(target, target.with_name(f".{name}.writer")),
            pytest.raises(UserError, match=f"{name} is being written by process"),
        ):
            work()


@pytest.mark.parametrize("total", [0, 1, 5, 12, 1000])
def test_parts_have_each_problem_once(total: int) -> None:
    for count in (1, 2, 3, 7, 20):
        problems = [list(Part(index, count).problems(total)) for index in range(count)]
        assert list(itertools.chain(*problems)) == list(range(total))
        assert max(map(len, problems)) - min(map(len, problems)) <= 1
