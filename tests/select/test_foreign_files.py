"""Path files in other formats than JSON lines: read, or told in one line, by the selector too."""

from pathlib import Path as File

import pytest

from rft_jax.errors import UserError
from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import write_problems
from rft_jax.select import selection
from tests.records.test_rows import BOM, PACKED, not_paths
from tests.select.selection import PROBLEMS


def select(folder: File, content: bytes) -> bytes:
    write_problems(folder / "problems.jsonl", PROBLEMS)
    (folder / "paths.jsonl").write_bytes(content)
    output = folder / "out.jsonl"
    selection.select(
        folder / "problems.jsonl", [f"{folder}/paths.jsonl"], output,
        rules="paper", grader="reference", ks=[], workers=1, piece_bytes=100,
    )  # fmt: skip
    return output.read_bytes()


@pytest.fixture
def paths(tmp_path: File) -> bytes:
    file = tmp_path / "some.jsonl"
    write_paths(
        file,
        [Path(number % 4, number, "m", f"<<{number}+1={number + 1}>>\n#### {42 + number % 4}") for number in range(40)],
    )
    return file.read_bytes()


def test_a_byte_order_mark_and_a_wrong_name_change_nothing(tmp_path: File, paths: bytes) -> None:
    expected = select(tmp_path, paths)
    assert expected.count(b"\n") == 44
    assert select(tmp_path, BOM + paths) == expected
    for packing in PACKED.values():  # the name says .jsonl, and the file is cut into pieces where it can be
        assert select(tmp_path, packing(paths)) == expected


def test_other_formats_are_told(tmp_path: File) -> None:
    for content, message in not_paths(tmp_path).values():
        with pytest.raises(UserError) as error:
            select(tmp_path, content)
        assert f"paths.jsonl:1: {message}" in str(error.value)
