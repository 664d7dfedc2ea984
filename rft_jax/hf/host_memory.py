"""Copying weights from a mapped file into memory that a device can take as it is.

Two costs decide the speed of loading on a warm machine, and neither is the copying itself: a fresh page has to be made
at its first touch (huge pages make that 512 times rarer), and one thread does not saturate the memory. Pages of the
file that were read count as resident memory until they are given back, so each is given back as soon as it is copied.
"""

import concurrent.futures
import functools
import mmap
import os
from collections.abc import Callable, Iterable

import numpy as np

_ALIGNMENT = 64  # bytes, of XLA's buffers on CPU
_HUGE_PAGE = 2 << 20  # bytes, of x86-64 and of most ARM systems
_CHUNK = 4 << 20  # bytes copied at a time by one thread; bounds the pages of the file that are resident
_THREADS = min(8, os.cpu_count() or 1)

Release = Callable[[np.ndarray], None]

# Same-sized integers: numpy copies its own types in bulk and foreign ones (bfloat16) element by element.
_BITS: dict[int, type[np.generic]] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def as_bits(array: np.ndarray) -> np.ndarray:
    """Returns the array viewed as unsigned integers of the same size."""
    return array.view(_BITS[array.dtype.itemsize])


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an uninitialised array on huge pages, so aligned that JAX on CPU uses it without another copy."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size < _HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(shape, dtype)
    # Private, because shared anonymous memory gets no huge pages; one page more, to start at a huge page's boundary.
    memory = mmap.mmap(-1, size + _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = -whole.ctypes.data % _HUGE_PAGE
    return whole[start : start + size].view(dtype).reshape(shape)


def usable_in_place(array: np.ndarray) -> bool:
    """Tells whether JAX on CPU takes this memory as it is: in one piece, and aligned."""
    return array.flags.c_contiguous and array.ctypes.data % _ALIGNMENT == 0


def copy(jobs: Iterable[tuple[np.ndarray, np.ndarray, Release]]) -> None:
    """Copies arrays bit by bit, with several threads.

    Args:
        jobs: destination, source of the same shape and dtype (it may be a slice of a mapped file), and a function that
            is called with each part of the source once it has been copied.
    """

    def copy_chunk(job: tuple[np.ndarray, np.ndarray, Release]) -> None:
        destination, source, release = job
        np.copyto(destination, source)
        release(source)

    chunks = (
        (*chunk, release)
        for destination, source, release in jobs
        for chunk in _chunks(as_bits(destination), as_bits(source))
    )
    for _ in _pool().map(copy_chunk, chunks):
        pass


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(_THREADS, "copy")


def _chunks(destination: np.ndarray, source: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    if source.nbytes <= _CHUNK or source.shape[0] == 1:
        yield destination, source
        return
    rows = max(1, _CHUNK * source.shape[0] // source.nbytes)
    for start in range(0, source.shape[0], rows):
        yield destination[start : start + rows], source[start : start + rows]
