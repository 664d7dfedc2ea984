"""Rows of an object are those of the file, in every format, and a mistake in them is told by the object's name."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from rft_jax.errors import UserError
from rft_jax.records.problem import read_problems
from rft_jax.records.rows import read_rows
from rft_jax.remote import given

ROWS = [{"question": f"{n}+1?", "answer": f"#### {n + 1}"} for n in range(5)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def write_parquet(file: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)


WRITERS: dict[str, Callable[[Path], object]] = {
    "x.jsonl": lambda file: file.write_bytes(LINES),
    "x.jsonl.gz": lambda file: file.write_bytes(gzip.compress(LINES)),
    "x.jsonl.zst": lambda file: file.write_bytes(zstandard.compress(LINES)),
    "compressed": lambda file: file.write_bytes(gzip.compress(LINES)),
    "x.json": lambda file: file.write_text(json.dumps(ROWS)),
    "x.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_object_is_read_as_the_file(bucket: Path, tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    shutil.copyfile(tmp_path / name, bucket / name)
    assert list(read_rows(f"s3://bucket/{name}")) == list(read_rows(tmp_path / name))
    assert len(read_problems(f"s3://bucket/{name}")) == len(ROWS)


def test_a_wrong_line_is_told_by_the_name_that_was_given(bucket: Path) -> None:
    (bucket / "x.jsonl").write_bytes(LINES + b"{so\n")
    with pytest.raises(UserError) as error:
        list(read_rows("s3://bucket/x.jsonl"))
    assert given.told(str(error.value)).startswith("s3://bucket/x.jsonl:6: not JSON")


def test_a_cut_file_is_told_by_the_name_that_was_given(bucket: Path) -> None:
    (bucket / "x.jsonl.gz").write_bytes(gzip.compress(LINES)[:-9])
    with pytest.raises(UserError) as error:
        list(read_rows("s3://bucket/x.jsonl.gz"))
    assert given.told(str(error.value)) == "s3://bucket/x.jsonl.gz is cut in the middle; was its writer killed?"
