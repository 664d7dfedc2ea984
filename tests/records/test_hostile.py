"""Whatever a file holds, reading it gives rows or one line that says what is wrong."""

import functools
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path as File

import pytest
import zstandard

from rft_jax.errors import UserError
from rft_jax.records.path import read_paths
from rft_jax.records.problem import read_problems
from rft_jax.records.rows import read_rows
from tests.records.test_rows import BOM, ROWS, TEXTS, written_parquet

NAMES = ("x.jsonl", "x.json", "x.parquet", "x.gz", "x.zst", "x")
LONG = 10_000_000  # bytes
PROBLEM = b'{"question": "q", "answer": "a"}'


def rows_or_one_line(file: File) -> None:
    for read in (read_rows, read_problems, read_paths):
        try:
            list(read(file))
            continue
        except UserError as error:
            told = str(error)
        assert "\n" not in told
        assert str(file) in told
        assert len(told) < len(str(file)) + 500


@functools.cache
def valid(folder: File) -> list[bytes]:
    texts = [write(ROWS) for write in TEXTS.values()]
    wide = [TEXTS["lines"](ROWS).decode().encode(encoding) for encoding in ("utf-16", "utf-32-be")]
    tables = [written_parquet(folder / "x", ROWS, compression=each).read_bytes() for each in ("none", "zstd")]
    return [*texts, *wide, *tables, *map(gzip.compress, texts[:1]), *map(zstandard.compress, texts[:1])]


def truncated(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def with_other_bytes(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def with_other_marks(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data))
    marks = [bytes([byte]) for byte in b'[]{},:"\\\0\n\r \xff'] + [b"\\ud800", b"[" * 2000, BOM, b"NaN", b"1e999"]
    data[place : place + rng.randrange(10)] = rng.choice(marks) * rng.randrange(3)


def random_bytes(data: bytearray, rng: random.Random) -> None:
    data[:] = rng.randbytes(rng.randrange(60))


@pytest.mark.parametrize("damage", [truncated, with_other_bytes, with_other_marks, random_bytes])
def test_damaged_files(tmp_path: File, damage: Callable[[bytearray, random.Random], None]) -> None:
    rng = random.Random(0)
    for _ in range(300):
        data = bytearray(rng.choice(valid(tmp_path)))
        damage(data, rng)
        file = tmp_path / rng.choice(NAMES)
        file.write_bytes(data)
        rows_or_one_line(file)


@pytest.mark.parametrize("text", TEXTS)
def test_a_truncated_file_is_told_or_ends_between_rows(tmp_path: File, text: str) -> None:
    """A cut is never taken for other rows: what is read are the first rows of the whole file."""
    whole, file = TEXTS[text](ROWS), tmp_path / "x"
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        read = []
        try:
            read.extend(fields for _, fields in read_rows(file))
        except UserError:
            continue
        assert read == ROWS[: len(read)]
        assert not text.startswith("array") or len(read) in (0, len(ROWS))


@pytest.mark.parametrize(
    "data",
    [
        b"x" * LONG,
        b"[" * LONG,
        b'{"a":' * (LONG // 5),
        b'{"question": "' + b"a" * LONG,
        b'{"question": "' + b"\\" * LONG,
        b'{"question": "q", "answer": ' + b"9" * LONG + b"}\n",
        b'{"question": "q", "answer": 0.' + b"9" * LONG + b"}\n",
        b'{"question": [' + b"1," * (LONG // 20) + b"1]}\n",
        b"{" + b",".join(b'"%d": 1' % number for number in range(LONG // 500)) + b', "7": 2}\n',
        b'{"' + b"k" * LONG + b'": 1}\n',
        b'{"question": ' + b"[" * 900 + b"]" * 900 + b', "answer": "a"}\n',
        b"[" + b" " * LONG,
        b"[" + b"{}, " * (LONG // 400) + b"{}",
        b"[" + PROBLEM + b"," + b"{" * LONG,
        b" " * LONG,
        b"\n" * (LONG // 100),
        b"\r" * (LONG // 100),
        b"\0" * LONG,
        b"," * LONG,
        BOM * (LONG // 3),
        (PROBLEM + b"\r") * 100 + b" " * LONG,
        PROBLEM * (LONG // 100),
    ],
    ids=lambda data: data[:12].decode(errors="replace"),
)  # fmt: skip
def test_long_files(tmp_path: File, data: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    rows_or_one_line(tmp_path / "x.jsonl")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_long_line_in_a_small_file(tmp_path: File, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "x.jsonl").write_bytes(pack(b'{"question": "' + b"a" * LONG))
    rows_or_one_line(tmp_path / "x.jsonl")


def test_a_long_problem_is_read(tmp_path: File) -> None:
    text = "½ \ud800\n" * (LONG // 40)
    (tmp_path / "x").write_text(json.dumps([{"question": text, "answer": "a"}]))
    assert read_problems(tmp_path / "x")[0].question == text
