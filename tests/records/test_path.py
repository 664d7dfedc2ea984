"""Paths survive a file, and a wrong line is told with its place."""

import json
from pathlib import Path as File

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.records.path import Path, read_paths, write_paths

GOOD = {"problem": 0, "sample": 0, "model": "m", "response": "r"}

# Any text that JSON can carry, lone surrogates and NULs included.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
tokens = st.none() | st.integers(0, 512)
finishes = st.sampled_from([None, "eos", "length"])
paths = st.builds(Path, st.integers(0, 9), st.integers(0, 10**12), texts, texts, tokens, finishes)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_is_written_is_read(tmp_path_factory, suffix: str) -> None:
    file = tmp_path_factory.mktemp("x") / f"x.jsonl{suffix}"

    @given(st.lists(paths, max_size=5))
    def check(some: list[Path]) -> None:
        write_paths(file, some)
        first = file.read_bytes()
        assert list(read_paths(file)) == some
        write_paths(file, some)
        assert file.read_bytes() == first

    check()


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
