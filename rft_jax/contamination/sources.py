"""Texts to compare with: rows of a data set, or plain text; read as a stream."""

import codecs
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rft_jax.errors import UserError
from rft_jax.records import hub
from rft_jax.records.formats import foreign_format
from rft_jax.records.lines import is_compressed, opened
from rft_jax.records.rows import read_rows

_PLAIN = (".txt", ".md")
_BLOCK = 50_000  # characters of plain text searched at a time
_OBJECTS = (b"{", b"[", b"PAR1")  # what JSON lines, a JSON array and Parquet begin with


class Document(NamedTuple):
    """A text of a corpus.

    Attributes:
        row: of its file, from 1; of plain text, its first line.
        text: the text.
    """

    row: int
    text: str


def documents(source: str, overlap: int) -> Iterator[Document]:
    """Yields the texts of a file or a data set of the hub: all strings in each row, or plain text in blocks of lines.

    Plain is what ends with .txt or .md, or does not begin as JSON or Parquet do.

    Args:
        source: JSON lines, a JSON array, Parquet or plain text, also compressed; or `hf:OWNER/NAME:CONFIG:SPLIT`.
        overlap: characters that a block of plain text has in common with the next one, so that no question is cut.

    Raises:
        UserError: there is no such file, or a row or line cannot be read; the message names it.
    """
    if source.startswith(hub.PREFIX) or _has_rows(source):
        for row, fields in read_rows(source):
            yield from (Document(row, text) for text in _strings(fields))
    else:
        yield from _blocks(_lines(source), overlap)


def _has_rows(source: str) -> bool:
    name = Path(source)
    if name.with_suffix("").suffix in _PLAIN if is_compressed(source) else name.suffix in _PLAIN:
        return False
    with opened(source) as stream:
        first = next((line for line in stream if not line.isspace()), b"")
    return first.removeprefix(codecs.BOM_UTF8).lstrip().startswith(_OBJECTS)


def _strings(value: Any) -> Iterator[str]:
    """Yields the strings in a JSON value, however deep they are."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case dict() as fields:
                waiting.extend(reversed(fields.values()))
            case list() as items:
                waiting.extend(reversed(items))


def _lines(source: str) -> Iterator[str]:
    with opened(source) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                told = foreign_format(line) if number == 1 else None
                told = told or f"not UTF-8 at byte {error.start + 1} of the line; save the file as UTF-8"
                raise UserError(f"{os.fspath(source)}:{number}: {told}") from None


def _blocks(lines: Iterable[str], overlap: int) -> Iterator[Document]:
    """Yields plain text in blocks of whole lines, each of which repeats the end of the one before."""
    block: list[str] = []
    first, size, fresh = 1, 0, False
    for line in lines:
        block.append(line)
        size += len(line)
        fresh = True
        if size >= _BLOCK + overlap:
            yield Document(first, "".join(block))
            sizes = itertools.accumulate(len(each) for each in reversed(block))
            kept = sum(1 for total in sizes if total <= overlap)
            first += len(block) - kept
            block = block[len(block) - kept :]
            size, fresh = sum(map(len, block)), False
    if fresh:
        yield Document(first, "".join(block))
