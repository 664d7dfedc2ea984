"""Short hashes that tell one model from another without reading 140 GB.

A tuned model may differ from its base in a few tensors only (merged adapters of the query and value projections), so
large files of weights are sampled tensor by tensor: some kilobytes of each, which training changes in many places.
What that cannot tell apart are two models of which only single rows of a table differ, such as one token's embedding.
"""

import hashlib
import itertools
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from rft_jax.errors import UserError

WEIGHTS = (".safetensors", ".bin")
_SETTINGS = (
    "config.",
    "generation_config.",
    "prompt_format.",
    "token",
    "vocab",
    "merges",
    "added_tokens",
    "special_tokens",
    "chat_template",
)
_WHOLE_BYTES = 64 << 20  # smaller files of weights are read whole
_PROBES, _PROBE_BYTES = 8, 4096  # of a tensor
_UNKNOWN_BYTES = 1 << 20  # a file of unknown form is sampled as if its tensors were of this size
_HEADER_LIMIT = 100_000_000  # bytes; safetensors' own
_BLOCK = 1 << 20
# What json and zipfile raise of contents that make no sense.
_MALFORMED = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, NotImplementedError, OSError,
    struct.error, zipfile.BadZipFile,
)  # fmt: skip
# Returns where pieces of a file of some size begin and how long they are.
Pieces = Callable[[int], Iterable[tuple[int, int]]]


def of_weights(folder: Path) -> str:
    """Returns a fingerprint of what is trained in a Hugging Face folder: its config.json and its weights.

    Raises:
        UserError: there is no config.json.
    """
    found = Fingerprint(0, lambda size: [(size * part // 8, 65536) for part in range(8)])
    for file in [folder / "config.json", *sorted(path for path in folder.glob("*") if path.suffix in WEIGHTS)]:
        if not file.is_file():
            raise UserError(f"{folder} has no {file.name}: give a folder in Hugging Face's format")
        found.add(file, f"{file.name} {file.stat().st_size}")
    return str(found)


def of_model(folder: str | Path) -> str:
    """Returns a fingerprint of what is sampled from a Hugging Face folder: its weights, and how it is asked.

    Raises:
        UserError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no model folder {folder}: give --config.model=DIR, a Hugging Face folder")
    found = Fingerprint(64 * 4096, lambda size: [((size - 4096) * part // 63, 4096) for part in range(64)])
    for file in sorted(folder.iterdir()):
        # What does not change what is sampled (a README, a training log) does not count.
        if file.suffix in WEIGHTS or file.name.startswith(_SETTINGS):
            found.add(file, f"{file.name} {file.stat().st_size} ")
    return str(found)


def asked_alike(one: Path, other: Path) -> bool:
    """Tells whether two model folders have the same tokenizer, template and generation settings, byte by byte."""

    def settings(folder: Path) -> dict[str, bytes]:
        # config.json also has the dtype of the weights.
        files = (file for file in folder.iterdir() if file.name.startswith(_SETTINGS) and file.name != "config.json")
        return {file.name: file.read_bytes() for file in files}

    return one.is_dir() and other.is_dir() and settings(one) == settings(other)


def same(one: str, other: str) -> bool:
    """Tells whether two fingerprints are of the same contents, as far as both can tell."""
    if "-" in one and "-" in other:
        return one == other
    return one.partition("-")[0] == other.partition("-")[0]


class Fingerprint:
    """A hash of files; its text is BEFORE-NOW, or BEFORE alone where both are one.

    BEFORE is what was recorded until 2026-11-26, of a few pieces of each large file wherever its tensors are. It is
    compared with a recorded one of that time (`same`), so that what is there already does not count as another's.
    """

    def __init__(self, whole_before: int, pieces_before: Pieces) -> None:
        """Begins a hash of nothing.

        Args:
            whole_before: bytes of the largest file that BEFORE has the whole of, as NOW has.
            pieces_before: what BEFORE has of a larger one.
        """
        self._whole, self._pieces = whole_before, pieces_before
        self._now = hashlib.sha256()
        self._before: hashlib._Hash | None = None  # from where they differ

    def __str__(self) -> str:
        """Returns the fingerprint."""
        prints = [self._now] if self._before is None else [self._before, self._now]
        return "-".join(each.hexdigest()[:16] for each in prints)

    def update(self, content: bytes) -> None:
        """Adds bytes that both have."""
        self._now.update(content)
        if self._before is not None:
            self._before.update(content)

    def add(self, file: Path, told: str) -> None:
        """Adds a file.

        Args:
            file: there.
            told: its name and size.
        """
        self.update(told.encode(errors="surrogateescape"))
        with file.open("rb") as data:
            size = os.fstat(data.fileno()).st_size
            if size <= self._whole:
                self.update(data.read())
                return
            self._before = self._before or self._now.copy()
            for start, length in self._pieces(size):
                self._before.update(os.pread(data.fileno(), length, start))
            if size <= _WHOLE_BYTES or file.suffix not in WEIGHTS:
                while block := data.read(_BLOCK):
                    self._now.update(block)
                return
            head, cuts = _layout(file, data, size)
            self._now.update(head)
            for start, length in _probes(sorted({0, *cuts, size})):
                self._now.update(os.pread(data.fileno(), length, start))


def _layout(file: Path, data: BinaryIO, size: int) -> tuple[bytes, Iterable[int]]:
    """Returns what a file of weights says of its tensors, and where they begin; its reader judges it."""
    try:
        if file.suffix == ".safetensors":
            length = int.from_bytes(data.read(8), "little")
            if length <= min(size - 8, _HEADER_LIMIT):
                header = data.read(length)
                cuts = {8 + length + int(entry["data_offsets"][0]) for entry in _tensors(header)}
                return header, (cut for cut in cuts if 0 <= cut < size)
        else:  # PyTorch's, with a checksum of each tensor
            with zipfile.ZipFile(data) as archive:
                entries = archive.infolist()
            head = json.dumps([[each.filename, each.file_size, each.CRC] for each in entries]).encode()
            return head, (each.header_offset for each in entries if 0 <= each.header_offset < size)
    except _MALFORMED:
        pass
    return b"", range(0, size, _UNKNOWN_BYTES)


def _tensors(header: bytes) -> Iterator[dict[str, list[int]]]:
    return (entry for name, entry in json.loads(header).items() if name != "__metadata__")


def _probes(cuts: list[int]) -> Iterator[tuple[int, int]]:
    """Yields where to read, and how many bytes: of each part between two cuts the ends and places between."""
    for start, stop in itertools.pairwise(cuts):
        if stop - start <= _PROBES * _PROBE_BYTES:
            yield start, stop - start
            continue
        for probe in range(_PROBES):
            yield start + (stop - start - _PROBE_BYTES) * probe // (_PROBES - 1), _PROBE_BYTES
