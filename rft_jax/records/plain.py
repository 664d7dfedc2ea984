"""Plain text, and how it is told from rows of a data set."""

import codecs
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from rft_jax.errors import UserError
from rft_jax.records import hub
from rft_jax.records.formats import foreign_format
from rft_jax.records.lines import is_compressed, opened
from rft_jax.remote import cache

_PLAIN = (".txt", ".md")
_ROWS = (".jsonl", ".ndjson", ".json", ".parquet")
_BEGINNINGS = (b"{", b"[", b"PAR1")  # of JSON lines, a JSON array and Parquet
_PIECE = 1 << 16  # bytes


def has_rows(source: str) -> bool:
    """Tells whether a file, or a data set of the hub, holds rows, which `read_rows` reads, and no plain text.

    The name says so where it ends as those of rows or of plain text do; otherwise it is how the content begins.

    Raises:
        UserError: it cannot be opened.
    """
    if source.startswith(hub.PREFIX):
        return True
    name = Path(source)
    suffix = (Path(name.stem) if is_compressed(source) and name.suffix not in _PLAIN + _ROWS else name).suffix
    if suffix in _PLAIN + _ROWS:
        return suffix in _ROWS
    if not cache.readable(source).is_file():
        return False  # a pipe would lose what is read here; whoever opens what is not there says so
    with opened(source) as stream:
        lines = iter(lambda: stream.readline(_PIECE), b"")
        first = next(lines, b"").removeprefix(codecs.BOM_UTF8)
        first = next((line for line in itertools.chain([first], lines) if line and not line.isspace()), b"")
    return first.lstrip().startswith(_BEGINNINGS)


def pieces(source: str) -> Iterator[str]:
    """Yields the text of a file, line by line, and what is longer than 64 KiB in pieces; no byte order mark.

    Raises:
        UserError: there is no such file, or it is not UTF-8; the message names the line.
    """
    number, before = 1, 0  # the line, and how many of its bytes are read
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(source) as stream:
        while True:
            piece = stream.readline(_PIECE)
            first, waiting = (number, before) == (1, 0), len(decoder.getstate()[0])
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                told = foreign_format(piece) if first else None
                at = before - waiting + error.start + 1
                told = told or f"not UTF-8 at byte {at} of the line; save the file as UTF-8"
                raise UserError(f"{os.fspath(source)}:{number}: {told}") from None
            if not piece:
                return
            yield text.removeprefix("\ufeff") if first else text
            number, before = (number + 1, 0) if piece.endswith(b"\n") else (number, before + len(piece))
