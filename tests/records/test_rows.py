"""The same rows come out of every format, whatever the file's name; what is no data is told in a line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import numpy as np
import pyarrow
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from rft_jax.errors import UserError
from rft_jax.records.lines import LineError, has_lone_surrogate
from rft_jax.records.path import read_paths
from rft_jax.records.problem import Problem, read_problems
from rft_jax.records.rows import read_rows

ROWS: list[dict[str, Any]] = [
    {"question": f"Wie viel ist {n} × 2?\n“Zwei”\u2028𝟚", "answer": f"#### {n}", "level": n} for n in range(3)
]
BOM = b"\xef\xbb\xbf"


def json_lines(rows: list[dict[str, Any]], end: str = "\n", **style: Any) -> bytes:
    return "".join(json.dumps(row, **style) + end for row in rows).encode("utf-8", "surrogatepass")


def json_array(rows: list[dict[str, Any]], **style: Any) -> bytes:
    return json.dumps(rows, **style).encode("utf-8", "surrogatepass")


TEXTS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "lines": json_lines,
    "lines, not ASCII": lambda rows: json_lines(rows, ensure_ascii=False),
    "lines, no end": lambda rows: json_lines(rows).rstrip(b"\n"),
    "lines, CRLF": lambda rows: json_lines(rows, end="\r\n"),
    "lines, CR": lambda rows: json_lines(rows, end="\r"),
    "lines, BOM": lambda rows: BOM + json_lines(rows),
    "lines, blank ones at the end": lambda rows: json_lines(rows) + b"\n \r\n\n",
    "array": json_array,
    "array, indented": lambda rows: json_array(rows, indent=2) + b"\n",
    "array, not ASCII": lambda rows: json_array(rows, indent="\t", ensure_ascii=False),
    "array, a row per line": lambda rows: b"[\n" + b",\n".join(json_lines([row]).strip() for row in rows) + b"\n]\n",
    "array, BOM and CRLF": lambda rows: BOM + json_array(rows, indent=1).replace(b"\n", b"\r\n"),
    "array, blank lines before": lambda rows: b"\n \r\n" + json_array(rows),
}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".zst": zstandard.compress,
}  # fmt: skip


def written_parquet(file: File, rows: list[dict[str, Any]], **style: Any) -> File:
    parquet.write_table(pyarrow.Table.from_pylist(rows), file, **style)
    return file


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet", "x.csv", "x"])
@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("text", TEXTS)
def test_every_format_gives_the_rows(tmp_path: File, text: str, packing: str, name: str) -> None:
    for file in (tmp_path / name, tmp_path / (name + packing)):  # told by content, and by name
        file.write_bytes(PACKED[packing](TEXTS[text](ROWS)))
        assert list(read_rows(file)) == list(enumerate(ROWS, start=1))
        assert read_problems(file) == [Problem(row["question"], row["answer"]) for row in ROWS]


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl", "x"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_parquet_gives_the_rows(tmp_path: File, name: str, compression: str) -> None:
    file = written_parquet(tmp_path / name, ROWS, compression=compression, row_group_size=2)
    assert list(read_rows(file)) == list(enumerate(ROWS, start=1))


# Any text that JSON can carry, lone surrogates and NULs included.
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(rows=st.lists(st.dictionaries(st.text(max_size=5), anything, max_size=4), max_size=4), ascii_only=st.booleans())
def test_lines_and_arrays_are_what_the_json_library_wrote(tmp_path_factory, rows: list, ascii_only: bool) -> None:
    file = tmp_path_factory.mktemp("x") / "x"
    # A lone surrogate has no UTF-8, so it is only ever written as \ud800.
    ascii_only |= has_lone_surrogate(json.dumps(rows, ensure_ascii=False))
    for indent in (None, 1):
        file.write_bytes(json_array(rows, indent=indent, ensure_ascii=ascii_only))
        assert [fields for _, fields in read_rows(file)] == rows
    file.write_bytes(json_lines(rows, ensure_ascii=ascii_only))
    assert [fields for _, fields in read_rows(file)] == rows


def test_a_reader_makes_the_problems_and_its_errors_name_the_row(tmp_path: File) -> None:
    def reader(fields: dict[str, Any]) -> Problem:
        if fields["level"] == 2:
            raise LineError("too hard")
        return Problem(fields["answer"], fields["question"])

    lines, array = tmp_path / "lines", tmp_path / "array"
    lines.write_bytes(json_lines(ROWS[:2]))
    assert read_problems(lines, reader)[1] == Problem(ROWS[1]["answer"], ROWS[1]["question"])
    lines.write_bytes(json_lines(ROWS))
    array.write_bytes(json_array(ROWS, indent=2))
    table = written_parquet(tmp_path / "table", ROWS)
    for file, place in ((lines, ":3"), (array, ", row 3"), (table, ", row 3")):
        with pytest.raises(UserError) as error:
            read_problems(file, reader)
        assert str(error.value) == f"{file}{place}: too hard"


@pytest.mark.parametrize(("value", "text"), [("72", "72"), ("-3", "-3"), ("0.5", "0.5"), ("1e3", "1000.0")])
def test_a_number_is_an_answer(tmp_path: File, value: str, text: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(f'{{"question": "q", "answer": {value}}}\n')
    assert read_problems(file) == [Problem("q", text)]
    assert read_problems(written_parquet(tmp_path / "x", [json.loads(file.read_text())])) == [Problem("q", text)]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_a_number_in_a_narrow_column_is_the_one_that_was_written(tmp_path: File, kind: str) -> None:
    answers = pyarrow.array(np.array(["0.1", "72", "2.35"], kind))
    parquet.write_table(pyarrow.table({"question": ["q"] * 3, "answer": answers}), tmp_path / "x")
    assert [problem.response for problem in read_problems(tmp_path / "x")] == ["0.1", "72.0", "2.35"]


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "1e999", "true", "null", "[72]", '{"value": 72}', "[" * 99 + "]" * 99]
)
def test_what_is_neither_text_nor_number_is_no_answer(tmp_path: File, value: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(f'{{"question": "q", "answer": {value}}}\n')
    with pytest.raises(UserError, match=r':1: "answer" is .*, not a text'):
        read_problems(file)


def test_nobody_minds_nan_elsewhere(tmp_path: File) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"question": "q", "answer": "a", "score": NaN}\n')
    assert read_problems(file) == [Problem("q", "a")]


def test_binary_columns_and_twin_columns_are_told(tmp_path: File) -> None:
    with pytest.raises(UserError, match=r', row 1: "question" is .*, not a text'):
        read_problems(written_parquet(tmp_path / "x", [{"question": b"q", "answer": "a"}]))
    twins = pyarrow.table([["q"], ["a"], ["b"]], names=["question", "answer", "answer"])
    parquet.write_table(twins, tmp_path / "y")
    with pytest.raises(UserError, match="two columns have the same name"):
        read_problems(tmp_path / "y")


GOOD = b'{"question": "q", "answer": "a"}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " holds no problem"),
        (BOM, " holds no problem"),
        (b"\n \n", " holds no problem"),
        (b"[]", " holds no problem"),
        (b"\n" + GOOD, ":1: an empty line before a problem"),
        (GOOD + b"\n\n" + GOOD, ":2: an empty line before a problem"),
        (b'{\n  "question": "q",\n  "answer": "a"\n}\n', ":1: the object does not end on its line; `jq -c"),
        (b'{"question":\n"q", "answer": "a"}\n', ":1: the object does not end on its line; `jq -c"),
        (GOOD + b",\n" + GOOD + b"\n", ":1: a comma follows the object"),
        (GOOD + b" " + GOOD + b"\n", """:1: not JSON: '{"question": "q", "answer": "a"}' follows the object"""),
        (GOOD + b"\n[" + GOOD + b"]\n", ":2: a JSON array where one object per line is expected"),
        (GOOD + b'\n{"question": "q', ":2: the last line is cut in the middle"),
        (GOOD + b'\n{"question": "\xc3', ":2: the last line is cut in the middle"),
        (GOOD + b'\n{"question": "caf\xe9", "answer": "a"}\n', ":2: not UTF-8 at byte 18 of the line"),
        (b'{"question": "q", "answer": "a", "answer": "b"}\n', ':1: the field "answer" is there twice'),
        (b'[{"question": "q", "answer": "a", "answer": "r"}]', ', row 1: the field "answer" is there twice'),
        (b"[\n" + GOOD + b"\n" + GOOD + b"]", ", row 1: not JSON: no comma or bracket behind the object, at line 3"),
        (b"[\n" + GOOD + b",\n]", ", row 2: not JSON: a comma before the closing bracket, at line 3"),
        (b"[\n" + GOOD + b",\n", ", row 2: the JSON array is cut in the middle"),
        (b"[\n" + GOOD + b",\n{'question': 'q'}]", ", row 2: not JSON: Expecting property name"),
        (b"[" + GOOD + b', {"question": "caf\xe9", "answer": "a"}]', ":1: not UTF-8"),
        (b"[" + GOOD + b', {"question": "caf\xc3', ":1: the JSON array is cut in the middle"),
        (b'["q", "a"]', ", row 1: a JSON object is expected, not str"),
        (b"[" + GOOD + b"][" + GOOD + b"]", ": more follows the JSON array"),
        (b"[" + GOOD + b"]\n" + GOOD, ": more follows the JSON array"),
        (b"question,answer\nq,a\n", ":1: not JSON but 'question,answer'; if this is a table"),
        (b"question\tanswer\r\nq\ta\r\n", ":1: not JSON but 'question\\tanswer'; if this is a table"),
        (BOM + b"question;answer\nq;a\n", ":1: not JSON but 'question;answer'; if this is a table"),
        (b"\n<!DOCTYPE html>\n<html>", ":2: an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", ":1: a Git LFS pointer"),
        (gzip.compress(gzip.compress(GOOD, mtime=0), mtime=0), ":1: a gzip file, compressed twice"),
        (b"BZh91AY&SY", ":1: a bzip2 file"),
        (b"PK\x03\x04\x14\0", ":1: a ZIP archive"),
        (b"So the answer is 18.", ":1: not JSON: Expecting value"),
        (b"\0" * 50, ":1: not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path: File, content: bytes, message: str) -> None:
    file = tmp_path / "x.data"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_problems(file)
    assert str(error.value).startswith(f"{file}{message}")
    assert "\n" not in str(error.value)


WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("text", ["lines", "lines, CRLF", "array", "array, indented"])
def test_wide_text_is_named(tmp_path: File, encoding: str, text: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(TEXTS[text](ROWS).decode().encode(encoding))
    with pytest.raises(UserError) as error:
        read_problems(file)
    told = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
    assert f": {told} text; convert it, for example by `iconv -f {told} -t UTF-8" in str(error.value)


def test_parquet_is_not_packed_nor_cut(tmp_path: File) -> None:
    whole = written_parquet(tmp_path / "whole", ROWS).read_bytes()
    file = tmp_path / "x.parquet"
    for packing in (".gz", ".zst"):
        file.write_bytes(PACKED[packing](whole))
        with pytest.raises(UserError, match="is a compressed Parquet file; decompress it"):
            read_problems(file)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=f"cannot read {file}: "):
        read_problems(file)


PATHS = [{"problem": 0, "sample": n, "model": "m", "response": "r"} for n in range(3)]


def test_paths_are_json_lines(tmp_path: File) -> None:
    file = tmp_path / "paths.jsonl"
    file.write_bytes(BOM + json_lines(PATHS, end="\r\n"))
    assert [path.sample for path in read_paths(file)] == [0, 1, 2]
    for packing in PACKED.values():
        file.write_bytes(packing(json_lines(PATHS)))
        assert [path.sample for path in read_paths(file)] == [0, 1, 2]


def not_paths(tmp_path: File) -> dict[str, tuple[bytes, str]]:
    return {
        "array": (json_array(PATHS), "a JSON array where one object per line is expected"),
        "indented": (json_array(PATHS, indent=2), "a JSON array where one object per line is expected"),
        "UTF-16": (json_lines(PATHS).decode().encode("utf-16"), "UTF-16 text"),
        "UTF-16LE": (json_lines(PATHS).decode().encode("utf-16-le"), "UTF-16LE text"),
        "Parquet": (written_parquet(tmp_path / "p", PATHS).read_bytes(), "a Parquet file where JSON lines"),
        "HTML": (b"<html>", "an HTML or XML page"),
        "CSV": (b"problem,sample\n0,0\n", "not JSON but 'problem,sample'"),
    }


def test_other_formats_of_paths_are_told(tmp_path: File) -> None:
    file = tmp_path / "paths.jsonl"
    for content, message in not_paths(tmp_path).values():
        file.write_bytes(content)
        with pytest.raises(UserError) as error:
            list(read_paths(file))
        assert str(error.value).startswith(f"{file}:1: {message}")


@pytest.mark.parametrize(("text", "has"), [("", False), ("é𝟚", False), ("\ud800", True), ("a\udfffb", True)])
def test_lone_surrogates(text: str, has: bool) -> None:
    assert has_lone_surrogate(text) is has
