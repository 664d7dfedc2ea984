"""Rows of a data set, whatever file it comes in: JSON lines, a JSON array or Parquet; from the hub or from disk."""

import codecs
import itertools
import os
import re
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np

from rft_jax.errors import UserError
from rft_jax.records import hub
from rft_jax.records.formats import foreign_format
from rft_jax.records.lines import LineError, decode_object, is_compressed, opened, parse_object
from rft_jax.remote import cache
from rft_jax.remote.message import one_line

_SPACE = re.compile(r"[ \t\r\n]*")
_PARQUET = b"PAR1"
_BY_LINE, _BY_ROW = ":", ", row "  # what stands between a file's name and a number
_CUT = "the JSON array is cut in the middle; was its writer killed?"
_Made = TypeVar("_Made")


class _Row(NamedTuple):
    kind: str  # _BY_LINE or _BY_ROW
    number: int  # from 1
    fields: dict[str, Any]


def read_rows(source: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    r"""Yields the number and the fields of each row of a file, or of a data set such as `hf:openai/gsm8k:main:train`.

    What a file holds is told by its content, so its name is free: JSON lines, a JSON array of objects, or Parquet; the
    first two also compressed as .gz or .zst. Text is UTF-8, with or without a byte order mark; \n, \r\n or \r ends a
    line. NaN and Infinity are taken, as Python writes them; a field that is there twice is an error.

    Returns:
        (number, fields): the number, from 1, is that of the line, blank ones counted, or that of the row in an array,
        a table or a data set of the hub.

    Raises:
        UserError: there is no such file or data set, or it holds something else; the message names the place.
    """
    return read_each(source, lambda fields: fields)


def read_each(source: str | os.PathLike[str], read: Callable[[dict[str, Any]], _Made]) -> Iterator[tuple[int, _Made]]:
    """Yields the number of each row and what `read` makes of it; see `read_rows`.

    Raises:
        UserError: as `read_rows`, or `read` raised LineError; the message names the place.
    """
    name = os.fspath(source)
    for kind, number, fields in _rows_of_data_set(name) if name.startswith(hub.PREFIX) else _rows_of_file(name):
        try:
            made = read(fields)
        except LineError as error:
            raise UserError(f"{name}{kind}{number}: {error}") from None
        yield number, made


def _rows_of_data_set(name: str) -> Iterator[_Row]:
    numbers = itertools.count(1)
    for file in hub.files_of(name):
        for row in _rows_of_file(os.fspath(file)):
            yield _Row(_BY_ROW, next(numbers), row.fields)


def _rows_of_file(name: str) -> Iterator[_Row]:
    with opened(name) as stream:
        lines = _lines_of(stream)
        numbered = enumerate(lines, start=1)
        above, first = next(((number - 1, line) for number, line in numbered if not line.isspace()), (0, b""))
        if not first:
            return
        if first.startswith(_PARQUET):
            if is_compressed(name):
                raise UserError(f"{name} is a compressed Parquet file; decompress it, Parquet compresses by itself")
            yield from _rows_of_parquet(name)
            return
        if told := foreign_format(first):
            raise UserError(f"{name}:{above + 1}: {told}")
        if first.lstrip().startswith(b"["):
            # The blank lines come back, so that a wrong place is told by its line.
            yield from _rows_of_array(name, b"\n" * above + first + b"".join(lines))
            return
        for number, line in itertools.chain([(above + 1, first)], numbered):
            try:
                if not line.isspace():
                    yield _Row(_BY_LINE, number, parse_object(line))
            except LineError as error:
                raise UserError(f"{name}{_BY_LINE}{number}: {error}") from None


def _lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    first = stream.readline().removeprefix(codecs.BOM_UTF8)
    for line in itertools.chain([first], stream):
        yield from line.splitlines(keepends=True)  # a bare \r, which no JSON string holds, ends a line as well


def _rows_of_array(name: str, data: bytes) -> Iterator[_Row]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        told = _CUT if error.reason == "unexpected end of data" else "not UTF-8; save the file as UTF-8"
        raise UserError(f"{name}:{line}: {told}") from None
    place = _next_mark(text, text.index("[") + 1)
    if text[place : place + 1] != "]":
        for number in itertools.count(1):
            try:
                fields, place = _element(text, place)
            except LineError as error:
                raise UserError(f"{name}{_BY_ROW}{number}: {error}") from None
            yield _Row(_BY_ROW, number, fields)
            if text[place] == "]":
                break
            place = _next_mark(text, place + 1)
    if _next_mark(text, place + 1) < len(text):
        raise UserError(f"{name}: more follows the JSON array; a file holds one array, or one object per line")


def _element(text: str, place: int) -> tuple[dict[str, Any], int]:
    """Returns an object of an array, and where the comma or the bracket behind it stands."""
    try:
        if text[place : place + 1] == "]":
            raise LineError(f"not JSON: a comma before the closing bracket, at line {_line(text, place)}")
        fields, place = decode_object(text, place)
        place = _next_mark(text, place)
        if text[place : place + 1] not in (",", "]"):
            raise LineError(f"not JSON: no comma or bracket behind the object, at line {_line(text, place)}")
    except LineError:
        if not text.rstrip().endswith("]"):
            raise LineError(_CUT) from None
        raise
    return fields, place


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _next_mark(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    assert space is not None, "it matches nothing at all, too"
    return space.end()


def _rows_of_parquet(name: str) -> Iterator[_Row]:
    import pyarrow  # type: ignore[import-untyped]  # late: it takes a while, and most files need none
    from pyarrow import parquet

    numbers = itertools.count(1)
    try:
        with parquet.ParquetFile(cache.readable(name)) as table:
            columns = table.schema_arrow.names
            if len(set(columns)) < len(columns):
                raise UserError(f"{name}: two columns have the same name; rename one")
            for batch in table.iter_batches():
                for values in zip(*map(_values, batch.columns), strict=True):
                    yield _Row(_BY_ROW, next(numbers), dict(zip(columns, values, strict=True)))
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        raise UserError(f"cannot read {name}: {one_line(error)}") from error


def _values(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    # The 0.1 that was written with 32 bits is not the 0.10000000149 that Python makes of it.
    narrow = {"float": np.float32, "halffloat": np.float16}.get(str(column.type))
    return values if narrow is None else [value if value is None else float(str(narrow(value))) for value in values]
