"""JSON lines in plain, .gz and .zst files, as the name says: read as a stream, written whole or not at all."""

import codecs
import contextlib
import gzip
import io
import json
import os
import pathlib
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any, cast

import zstandard

from rft_jax.errors import UserError
from rft_jax.files import whole_file

_COMPRESSED = (".gz", ".zst")
_DECODER = json.JSONDecoder()
_JSON_SPACE = " \t\r\n"
_BLOCK = 1 << 17  # bytes handed to the decompressor at a time


class LineError(Exception):
    """A line that cannot be used; the reader that knows file and number turns it into a `UserError`."""


def is_compressed(file: str | os.PathLike[str]) -> bool:
    """Tells by the name whether a file can only be read from its beginning."""
    return pathlib.Path(file).suffix in _COMPRESSED


def with_infix(file: str | os.PathLike[str], infix: str) -> pathlib.Path:
    """Returns `selected.k3.jsonl.gz` for `selected.jsonl.gz` and `k3`."""
    path = pathlib.Path(file)
    compression = path.suffix if is_compressed(path) else ""
    stem = path.name.removesuffix(compression)
    kind = pathlib.Path(stem).suffix
    return path.with_name(f"{stem.removesuffix(kind)}.{infix}{kind}{compression}")


@contextlib.contextmanager
def opened(file: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a file for reading, decompressed.

    Raises:
        UserError: here or while reading, the file is missing, unreadable, damaged, or its compressed data end too soon.
    """
    path = pathlib.Path(file)
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw) as stream:
                    yield cast(IO[bytes], stream)
            elif path.suffix == ".zst":
                yield io.BufferedReader(_ZstdStream(raw))
            else:
                yield raw
    except FileNotFoundError:
        raise UserError(f"no such file: {path}") from None
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
    """Returns the JSON object that a line holds.

    Raises:
        LineError: it holds something else.
    """
    try:
        text = line.decode().strip(_JSON_SPACE)
        fields, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except UnicodeDecodeError as error:
        raise LineError(f"not UTF-8 at byte {error.start + 1} of the line") from None
    except RecursionError:
        raise LineError("not JSON: nested too deeply") from None
    except ValueError as error:
        if line.startswith(codecs.BOM_UTF8):
            raise LineError("not JSON: a byte order mark stands before it; save the file without one") from None
        if not line.endswith(b"\n"):
            raise LineError("the last line is cut in the middle; was its writer killed?") from None
        raise LineError(f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise LineError(f"a JSON object is expected, not {type(fields).__name__}")
    return fields


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


def _wrong(fields: dict[str, Any], name: str, expected: str) -> str:
    if name not in fields:
        return f'the field "{name}" is missing; the line has {", ".join(map(repr, list(fields)[:8])) or "none"}'
    return f'"{name}" is {json.dumps(fields[name])[:60]}, not {expected}'


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
