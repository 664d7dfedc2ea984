"""Problems and paths survive a file, and a wrong line is told with its place."""

import gzip
import json
from pathlib import Path as File

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.records.lines import with_infix
from rft_jax.records.problem import Path, Problem, read_paths, read_problems, write_paths, write_problems
from tests.shared_data import shared

GOOD = {"problem": 0, "sample": 0, "model": "m", "response": "r"}

# Any text that JSON can carry, lone surrogates and NULs included.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
tokens = st.none() | st.integers(0, 512)
finishes = st.sampled_from([None, "eos", "length"])
paths = st.builds(Path, st.integers(0, 9), st.integers(0, 10**12), texts, texts, tokens, finishes)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_is_written_is_read(tmp_path_factory, suffix: str) -> None:
    file = tmp_path_factory.mktemp("x") / f"x.jsonl{suffix}"

    @given(st.lists(paths, max_size=5), st.lists(st.builds(Problem, texts, texts), min_size=1, max_size=5))
    def check(some: list[Path], problems: list[Problem]) -> None:
        write_paths(file, some)
        first = file.read_bytes()
        assert list(read_paths(file)) == some
        write_paths(file, some)
        assert file.read_bytes() == first
        write_problems(file, problems)
        assert read_problems(file) == problems

    check()


def test_compressed_files_are_what_their_names_say(tmp_path: File) -> None:
    for suffix in ("", ".gz", ".zst"):
        write_paths(tmp_path / f"x.jsonl{suffix}", [Path(0, 0, "m", "r" * 1000)] * 100)
    plain = (tmp_path / "x.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()) == plain
    assert zstandard.ZstdDecompressor().stream_reader((tmp_path / "x.jsonl.zst").read_bytes()).read() == plain


def test_several_zstd_frames_are_one_file(tmp_path: File) -> None:
    line = json.dumps(GOOD).encode() + b"\n"
    (tmp_path / "x.zst").write_bytes(zstandard.compress(line) + zstandard.compress(line * 2))
    assert len(list(read_paths(tmp_path / "x.zst"))) == 3


def test_problems_in_both_formats(tmp_path: File) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"question": "q", "answer": "#### 1"}\r\n{"query": "Q", "response": "R", "more": 1}\n\n')
    assert read_problems(file) == [Problem("q", "#### 1"), Problem("Q", "R")]


def test_gsm8k_is_read() -> None:
    assert [len(read_problems(shared(f"data/gsm8k/{split}.jsonl"))) for split in ("train", "test")] == [7_473, 1_319]


def wrong(**fields: object) -> bytes:
    return json.dumps({name: value for name, value in (GOOD | fields).items() if value is not ...}).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"so 18\n", "not JSON"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b'{"problem": ' + b"9" * 5_000 + b"}\n", "not JSON"),
        (b"[1]\n", "a JSON object is expected, not list"),
        (b'{"problem": 0, "sam', "cut in the middle"),
        (b'{"model": "\xff"}\n', "not UTF-8 at byte 12"),
        (wrong(problem=7), "there is no problem 7; the 3 problems are numbered from 0 to 2"),
        (wrong(problem=-1), '"problem" is -1, not a whole number'),
        (wrong(problem=1.0), '"problem" is 1.0, not a whole number'),
        (wrong(problem=True), '"problem" is true, not a whole number'),
        (wrong(sample="0"), '"sample" is "0", not a whole number'),
        (wrong(response=...), 'the field "response" is missing; the line has'),
        (wrong(response=None), '"response" is null, not a text'),
        (wrong(model=5), '"model" is 5, not a text'),
        (wrong(finish="stop"), "\"finish\" is 'stop', not one of eos, length"),
        (wrong(tokens=-1), '"tokens" is -1'),
    ],
)
def test_a_wrong_path_is_told_with_its_line(tmp_path: File, line: bytes, message: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(wrong() + b"\n" + line)
    with pytest.raises(UserError) as error:
        list(read_paths(file, problems=3))
    assert str(error.value).startswith(f"{file}:3: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no problem"),
        (b'{"question": "q", "answer": "a"}\n\n{"question": "q", "answer": "a"}\n', ":2: an empty line between"),
        (b'{"question": "q"}\n', ':1: the field "answer" is missing'),
        (b"{}\n", ':1: the field "question" is missing; the line has none'),
        (b'{"query": "q", "answer": "a"}\n', ':1: the field "response" is missing'),
        (b'{"question": ["q"], "answer": "a"}\n', ':1: "question" is ["q"], not a text'),
    ],
)
def test_wrong_problems(tmp_path: File, content: bytes, message: str) -> None:
    file = tmp_path / "p.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_problems(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_unreadable_files(tmp_path: File) -> None:
    with pytest.raises(UserError, match=r"no such file: .*none\.jsonl"):
        read_problems(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        read_problems(tmp_path)
    for suffix in (".gz", ".zst"):
        file = tmp_path / f"x.jsonl{suffix}"
        file.write_bytes(b"this is not compressed\n")
        with pytest.raises(UserError, match="cannot read"):
            list(read_paths(file))
        write_paths(file, [Path(0, number, "m", str(hash(str(number)))) for number in range(1000)])
        whole = file.read_bytes()
        for length in (len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:length])
            with pytest.raises(UserError, match="cut in the middle"):
                list(read_paths(file))


def test_names_of_prefix_sets() -> None:
    names = ["a/s.jsonl", "s.jsonl.gz", "s", "s.v1.jsonl.zst", "s.gz"]
    assert [str(with_infix(name, "k3")) for name in names] == [
        "a/s.k3.jsonl", "s.k3.jsonl.gz", "s.k3", "s.v1.k3.jsonl.zst", "s.k3.gz",
    ]  # fmt: skip
