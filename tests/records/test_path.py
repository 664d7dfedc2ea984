"""Paths survive a file, and a wrong line is told with its place."""

import json
from pathlib import Path as File

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.records.path import FINISHES, Logprobs, Path, parse_path, read_paths, write_paths

GOOD = {"problem": 0, "sample": 0, "model": "m", "response": "r"}

# Any text that JSON can carry, lone surrogates and NULs included.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
tokens = st.none() | st.integers(0, 512)
finishes = st.sampled_from([None, *FINISHES])
logarithms = st.tuples(*[st.floats(-1000, 0, width=32)] * 2)
logprobs = st.none() | st.lists(logarithms, min_size=1, max_size=4).map(lambda x: Logprobs.from_array(np.float32(x)))
paths = st.builds(Path, st.integers(0, 9), st.integers(0, 10**12), texts, texts, tokens, finishes, logprobs)


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
        (b'{"a":' + b"[" * 100_000 + b"\n", "not JSON: nested too deeply"),
        (b'{"problem": ' + b"9" * 5_000 + b"}\n", "not JSON"),
        (b"1\n", "a JSON object is expected, not int"),
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
        (wrong(finish="cut"), '"finish" is "cut", not one of eos, stop, length'),
        (wrong(tokens=-1), '"tokens" is -1'),
        (wrong(token_logprobs=[-1.5]), '"token_logprobs_at_1" is null, not a list of numbers'),
        (wrong(token_logprobs=["a"], token_logprobs_at_1=[0]), '"token_logprobs" is ["a"], not a list of numbers'),
        (wrong(token_logprobs=[0], token_logprobs_at_1=[]), "have 1 and 0 numbers"),
    ],
)
def test_a_wrong_path_is_told_with_its_line(tmp_path: File, line: bytes, message: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(wrong() + b"\n" + line)
    with pytest.raises(UserError) as error:
        list(read_paths(file, problems=3))
    assert str(error.value).startswith(f"{file}:3: ")
    assert message in str(error.value)


def test_log_probabilities_are_written_in_the_fewest_digits(tmp_path: File) -> None:
    values = np.float32([[-0.1, -0.3], [-1e-7, 0], [-2.3, -1 / 3]])
    path = Path(0, 0, "m", "r", 3, "eos", Logprobs.from_array(values))
    write_paths(tmp_path / "x.jsonl", [path])
    (line,) = (tmp_path / "x.jsonl").read_bytes().splitlines()
    assert json.loads(line) == GOOD | {
        "tokens": 3,
        "finish": "eos",
        "logprob": -2.4,
        "logprob_at_1": -0.6333333,
        "token_logprobs": [-0.1, -1e-7, -2.3],
        "token_logprobs_at_1": [-0.3, 0.0, -0.33333334],
    }
    (back,) = read_paths(tmp_path / "x.jsonl")
    assert back.logprobs is not None
    np.testing.assert_array_equal(np.float32(back.logprobs).T, values)
    assert parse_path(line, None) == path._replace(logprobs=None)


def test_log_probabilities_that_were_not_asked_for_are_not_written() -> None:
    assert Path(0, 0, "m", "r").to_fields() == GOOD
