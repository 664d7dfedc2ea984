"""JSON lines in plain, .gz and .zst files: read as a stream, written whole or not at all."""

import codecs
import collections
import contextlib
import gzip
import io
import json
import math
import os
import pathlib
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any, cast

import zstandard

from rft_jax.errors import UserError
from rft_jax.files import whole_file
from rft_jax.records.formats import foreign_format, shown_text
from rft_jax.remote import cache

_COMPRESSED = (".gz", ".zst")
_MARKS = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}  # the first bytes of compressed data
_JSON_SPACE = " \t\r\n"
_BLOCK = 1 << 17  # bytes handed to the decompressor at a time
_LONGEST_SHOWN = 60  # characters of a value in a message
_CUT = "the last line is cut in the middle; was its writer killed?"


class LineError(Exception):
    """A line that cannot be used; the reader that knows file and number turns it into a `UserError`."""


def is_compressed(file: str | os.PathLike[str]) -> bool:
    """Tells whether a file can only be read from its beginning, by its name or else by its mark."""
    path = cache.readable(file)
    if path.suffix in _COMPRESSED:
        return True
    try:
        # A pipe would lose the bytes that are read here.
        if not path.is_file():
            return False
        with path.open("rb") as raw:
            return bool(_marked(raw.read(4)))
    except OSError:
        return False  # whoever opens it says why


def _marked(head: bytes) -> str:
    return next((suffix for mark, suffix in _MARKS.items() if head.startswith(mark)), "")


def with_infix(file: str | os.PathLike[str], infix: str) -> pathlib.Path:
    """Returns `selected.k3.jsonl.gz` for `selected.jsonl.gz` and `k3`."""
    path = pathlib.Path(file)
    compression = path.suffix if path.suffix in _COMPRESSED else ""
    stem = path.name.removesuffix(compression)
    kind = pathlib.Path(stem).suffix
    return path.with_name(f"{stem.removesuffix(kind)}.{infix}{kind}{compression}")


@contextlib.contextmanager
def opened(file: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a file for reading, decompressed as its name says, or where that does not say, its mark.

    Of an object, gs:// or s3://, it is the copy on this machine.

    Raises:
        UserError: here or while reading, the file is missing, unreadable, damaged, or its compressed data end too soon.
    """
    path = cache.readable(file)
    try:
        with path.open("rb") as raw:
            compression = path.suffix if path.suffix in _COMPRESSED else _marked(raw.peek(4))
            if compression == ".gz":
                with gzip.open(raw) as stream:
                    yield cast(IO[bytes], stream)
            elif compression == ".zst":
                yield io.BufferedReader(_ZstdStream(raw))
            else:
                yield raw
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise UserError(f"cannot read {path}: it is a folder; name a file in it") from None
    except EOFError:
        raise UserError(f"{path} is cut in the middle; was its writer killed?") from None
    except (OSError, zlib.error, zstandard.ZstdError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def read_objects(file: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number, from 1, and the JSON object of each line that is not blank.

    Raises:
        UserError: a line is no JSON object, or see `opened`; the message names file and line.
    """
    with opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isspace():
                continue
            with at_line(file, number):
                yield number, parse_object(line)


@contextlib.contextmanager
def at_line(file: str | os.PathLike[str], number: int) -> Iterator[None]:
    """Turns a `LineError` into a `UserError` that names file and line."""
    try:
        yield
    except LineError as error:
        raise UserError(f"{file}:{number}: {error}") from None


def parse_object(line: bytes) -> dict[str, Any]:
    """Returns the JSON object that a line holds; a byte order mark before it does not count.

    Raises:
        LineError: it holds something else, or a field twice.
    """
    try:
        text = line.removeprefix(codecs.BOM_UTF8).decode().strip(_JSON_SPACE)
    except UnicodeDecodeError as error:
        told = f"not UTF-8 at byte {error.start + 1} of the line; save the file as UTF-8"
        if error.reason == "unexpected end of data":
            told = _CUT
        raise LineError(foreign_format(line) or told) from None
    try:
        fields, end = decode_object(text)
    except LineError as error:
        raise LineError(_told_of_the_line(line, text) or str(error)) from None
    if end != len(text):
        raise LineError(_told_of_the_rest(text[end:]))
    return fields


def decode_object(text: str, start: int = 0) -> tuple[dict[str, Any], int]:
    """Returns the JSON object that begins at a character of a text, and where it ends.

    NaN and Infinity are taken, as Python writes them.

    Raises:
        LineError: no object begins there, or it has a field twice.
    """
    try:
        fields, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise LineError("not JSON: nested too deeply") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise LineError(f"not JSON: {error.msg} at {place}") from None
    except ValueError as error:  # a number of more digits than Python reads
        raise LineError(f"not JSON: {str(error).split(';')[0]}") from None
    if not isinstance(fields, dict):
        raise LineError(f"a JSON object is expected, not {type(fields).__name__}")
    return fields, end


def _told_of_the_rest(rest: str) -> str:
    if rest.strip(_JSON_SPACE) == ",":
        return "a comma follows the object; JSON lines have none: remove it, or make the file a JSON array"
    return f"not JSON: {shown_text(rest[:200].encode(errors='replace'))} follows the object"


def _told_of_the_line(line: bytes, text: str) -> str | None:
    """Returns what a line that is no JSON object is instead, or None."""
    if told := foreign_format(line):
        return told
    if text.startswith("["):
        return "a JSON array where one object per line is expected; `jq -c '.[]' FILE > NEW` makes lines of it"
    if not text.startswith("{"):
        return None
    if line.endswith((b"\n", b"\r")):
        return "the object does not end on its line; `jq -c . FILE > NEW` writes one per line" if _stops(text) else None
    return _CUT if _stops(text) or not text.endswith("}") else None


def _stops(text: str) -> bool:
    """Tells whether JSON stops before its end, rather than being wrong."""
    try:
        _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text) or error.msg.startswith("Unterminated")
    except (LineError, ValueError, RecursionError):
        pass
    return False


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        [(name, _)] = collections.Counter(name for name, _ in pairs).most_common(1)
        raise LineError(f"the field {shown(name)} is there twice")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_object_of)


def text_field(fields: dict[str, Any], name: str) -> str:
    """Returns a text field.

    Raises:
        LineError: it is missing or not a text.
    """
    value = fields.get(name)
    if isinstance(value, str):
        return value
    raise LineError(_wrong(fields, name, "a text"))


def whole_number_field(fields: dict[str, Any], name: str) -> int:
    """Returns a field that holds a whole number from 0.

    Raises:
        LineError: it is missing, or not such a number.
    """
    value = fields.get(name)
    if type(value) is int and value >= 0:  # JSON's true is an int in Python
        return value
    raise LineError(_wrong(fields, name, "a whole number from 0"))


def answer_field(fields: dict[str, Any], name: str) -> str:
    """Returns a text field; a number counts as the text that Python and JSON write for it: 72, 0.5.

    Raises:
        LineError: it is missing, or neither a text nor a finite number.
    """
    value = fields.get(name)
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)
    return text_field(fields, name)


def has_lone_surrogate(text: str) -> bool:
    """Tells whether a text has half of a UTF-16 pair, which JSON can carry and a tokenizer cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def names_of(fields: dict[str, Any]) -> str:
    """Returns the names of the first fields, to be told."""
    return ", ".join(repr(name)[:_LONGEST_SHOWN] for name in list(fields)[:8]) or "none"


def shown(value: Any) -> str:
    """Returns the beginning of a value as JSON, or of Python's text for what JSON does not know."""
    try:
        return json.dumps(value, default=repr)[:_LONGEST_SHOWN]
    except (RecursionError, TypeError, ValueError):
        return f"a {type(value).__name__}"


def _wrong(fields: dict[str, Any], name: str, expected: str) -> str:
    if name not in fields:
        return f'the field "{name}" is missing; the line has {names_of(fields)}'
    return f'"{name}" is {shown(fields[name])}, not {expected}'


def dump(fields: dict[str, Any]) -> bytes:
    """Returns the line of a JSON object, in ASCII as the reference writes it; so a lone surrogate survives."""
    return json.dumps(fields).encode() + b"\n"


def write_lines(file: str | os.PathLike[str], lines: Iterable[bytes]) -> None:
    """Writes a file, compressed as its name says, whole or not at all.

    Raises:
        UserError: the folder is missing or not writable, or the disk is full.
    """
    with whole_file(file) as temporary, created(temporary, like=file) as stream:
        for line in lines:  # zstandard's stream has no writelines
            stream.write(line)


@contextlib.contextmanager
def created(file: pathlib.Path, like: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens `file` for writing, compressed as the name of `like` says. The same lines give the same bytes."""
    suffix = pathlib.Path(like).suffix
    with file.open("wb") as raw:
        if suffix == ".gz":
            # No name and no time inside.
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as stream:
                yield cast(IO[bytes], stream)
        elif suffix == ".zst":
            with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as stream:
                yield stream
        else:
            yield raw


class _ZstdStream(io.RawIOBase):
    """Decompresses a .zst file and raises EOFError when it is cut; zstandard's own reader takes the cut for the end."""

    def __init__(self, raw: IO[bytes]):
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False  # inside a frame
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._begun = False
            data = data or self._raw.read(_BLOCK)
            if not data:
                if self._begun:
                    raise EOFError
                return 0
            self._begun = True
            self._ready = memoryview(self._frame.decompress(data))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
