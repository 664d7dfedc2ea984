"""Texts to compare with: rows of a data set, or plain text; read as a stream."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from rft_jax.records.plain import has_rows, pieces
from rft_jax.records.rows import read_rows

_BLOCK = 50_000  # characters of plain text searched at a time
_LONGEST_WORD = 100  # characters; a longer one may be cut


class Document(NamedTuple):
    """A text of a corpus.

    Attributes:
        row: of its file, from 1; of plain text, its first line.
        text: the text.
        lines: whether each of its lines is a row of the file, as in plain text.
    """

    row: int
    text: str
    lines: bool = False


def documents(source: str, overlap: int) -> Iterator[Document]:
    """Yields the texts of a file or a data set of the hub: all strings in each row, or plain text in blocks of lines.

    Args:
        source: JSON lines, a JSON array, Parquet or plain text, also compressed; or `hf:OWNER/NAME:CONFIG:SPLIT`. Which
            of them it is, `has_rows` tells.
        overlap: characters that a block of plain text has in common with the next one, so that no question is cut.

    Raises:
        UserError: there is no such file, or a row or line cannot be read; the message names it.
    """
    if has_rows(source):
        for row, fields in read_rows(source):
            yield from (Document(row, text) for text in _strings(fields))
    else:
        yield from _blocks(pieces(source), overlap)


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


def _blocks(pieces: Iterable[str], overlap: int) -> Iterator[Document]:
    """Yields plain text in blocks, each of which repeats the end of the one before; no word is cut unless very long."""
    block: list[str] = []
    first, size, fresh = 1, 0, False
    for piece in pieces:
        block.append(piece)
        size += len(piece)
        fresh = True
        if size >= _BLOCK + overlap:
            text = "".join(block)
            end = _between_words(text, len(text) - _LONGEST_WORD)
            yield Document(first, text[:end], lines=True)
            begin = _between_words(text, end - overlap - _LONGEST_WORD)
            first += text.count("\n", 0, begin)
            block, size, fresh = [text[begin:]], len(text) - begin, end < len(text)
    if fresh:
        yield Document(first, "".join(block), lines=True)


def _between_words(text: str, place: int) -> int:
    """Returns where the first space from a place on stands, or the place itself where there is none nearby."""
    nearby = range(place, min(len(text), place + _LONGEST_WORD))
    return next((at for at in nearby if text[at].isspace()), place)
