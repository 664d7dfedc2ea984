"""The safetensors file format: mapped reading and streamed writing.

A file is the header's length (8 bytes, little-endian), the header (JSON: each tensor's dtype, shape and byte offsets
into what follows), then the tensors' bytes. Source: https://github.com/huggingface/safetensors (README, "Format").
The header is data from the internet: its length, its offsets and its shapes are all checked before they are used.
"""

import contextlib
import json
import math
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from rft_jax.errors import UserError
from rft_jax.hf import quantised
from rft_jax.hf.host_memory import as_bits

DTYPES: dict[str, np.dtype] = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_MADV_POPULATE_READ = 22  # of Linux; Python has no name for it
_HEADER_LIMIT = 100_000_000  # bytes; the format's own
_ALIGNMENT = 64  # of the first tensor's byte; the format asks for 8, and with 64 JAX can use the mapping as it is


class MappedFile:
    """The tensors of one file, mapped and not yet read.

    Attributes:
        tensors: name to read-only array; touching an array reads it from the file.
    """

    def __init__(self, path: Path) -> None:
        """Maps a file.

        Raises:
            UserError: the file cannot be opened, or is not a whole and valid safetensors file.
        """
        try:
            with path.open("rb") as file:
                size = path.stat().st_size
                header, start = _read_header(path, file.read(8), file, size)
                self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        whole = np.frombuffer(self._map, np.uint8)
        self._address = whole.ctypes.data
        self.tensors = {
            name: whole[start + begin : start + end].view(dtype).reshape(shape)
            for name, (dtype, shape, begin, end) in header.items()
        }

    def release(self, part: np.ndarray) -> None:
        """Gives the resident pages of a part of a tensor back; another touch would read them again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, *self._pages(part))

    def read_ahead(self, part: np.ndarray) -> None:
        """Makes a part of a tensor resident, so that its use does not wait for the disk page by page."""
        with contextlib.suppress(OSError, AttributeError):  # Linux before 5.14, or no Linux: it is read when used
            self._map.madvise(_MADV_POPULATE_READ, *self._pages(part))

    def _pages(self, part: np.ndarray) -> tuple[int, int]:
        """Returns start, at a page's boundary, and length of a part's bytes in the mapping."""
        low, high = np.lib.array_utils.byte_bounds(part)
        first = (low - self._address) // mmap.PAGESIZE * mmap.PAGESIZE
        return first, high - self._address - first


def _read_header(path: Path, prefix: bytes, file: Any, size: int) -> tuple[dict[str, Any], int]:
    if prefix == b"version ":
        raise UserError(f"{path} is a git-lfs pointer, not the weights: run `git lfs pull` in its folder")
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > min(size - 8, _HEADER_LIMIT):
        raise UserError(f"{path} is not a whole safetensors file ({size} bytes): download or copy it again")
    try:
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        entries = {name: _entry(entry) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} has no valid safetensors header: download or copy it again") from error
    start = 8 + length
    for name, (code, shape, begin, end) in entries.items():
        if code not in DTYPES:
            raise UserError(f"{path}: {name} is stored as {code}; {quantised.of_tensor(name, code)}")
        if end > size - start:
            raise UserError(f"{path} is truncated: {name} ends at byte {start + end} of {size}; download it again")
        if end - begin != math.prod(shape) * DTYPES[code].itemsize:
            raise UserError(f"{path}: {name} of shape {shape} does not take {end - begin} bytes; download it again")
    reached = 0
    # The tensors follow each other without gaps up to the end, so a header that was changed in one place does not fit.
    for begin, end, name in sorted((begin, end, name) for name, (_, _, begin, end) in entries.items()):
        if begin != reached:
            raise UserError(f"{path}: {name} begins at byte {begin}, not {reached} of the data; download it again")
        reached = end
    if reached != size - start:
        raise UserError(f"{path}: the data ends at byte {start + reached}, the file at {size}; download it again")
    return {name: (DTYPES[code], shape, begin, end) for name, (code, shape, begin, end) in entries.items()}, start


def _entry(entry: dict[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    code, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    numbers = (*shape, begin, end)
    if not isinstance(code, str) or any(type(n) is not int or n < 0 for n in numbers) or begin > end:
        raise ValueError("dtype, shape or offsets make no sense")
    return code, shape, begin, end


def write(
    path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype, tensors: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Writes tensors as they come, holding one at a time.

    Args:
        path: the file to make.
        shapes: every tensor's shape, in the order of `tensors`; the header needs them first.
        dtype: of all tensors, a value of DTYPES.
        tensors: names and arrays; takes from it exactly as many as there are shapes.

    Raises:
        ValueError: a tensor is not the one whose turn it is, or has another shape or dtype.
        OSError: the disk is full, or another failure of the system.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers refuses files without a format
    offset = 0
    for name, shape in shapes.items():
        size = math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(8 + len(encoded)) % _ALIGNMENT)
    remaining = iter(tensors)
    with path.open("wb", buffering=0) as file:
        _write_all(file, len(encoded).to_bytes(8, "little") + encoded)
        for name, shape in shapes.items():
            given, array = next(remaining, ("nothing", np.empty(0)))
            if given != name or array.shape != shape or array.dtype != dtype:
                expected = f"{name} {dtype.name} {shape}"
                raise ValueError(f"expected tensor {expected}, got {given} {array.dtype.name} {array.shape}")
            _write_all(file, as_bits(np.ascontiguousarray(array)).data.cast("B"))


def _write_all(file: Any, data: bytes | memoryview) -> None:
    # An unbuffered write may stop short (Linux takes at most 2 GiB at a time).
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
