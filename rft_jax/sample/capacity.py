"""How many samples a device can have in flight, from its memory and the lengths to expect."""

import bisect
import dataclasses
import math
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from rft_jax.errors import UserError
from rft_jax.hardware import FULL
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.attention import split_kv_heads
from rft_jax.sample.kv.kernel_check import kernel_agrees
from rft_jax.sample.kv.paged_attention import Reading
from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.schedule import AHEAD

SHORTEST_PAGE, LONGEST_PAGE = 16, 64  # steps; halves are whole calls (decode.STEPS)
PAGES_PER_ROW = 64  # at most, where pages may be longer: more pages are more sums
PAGES_PER_RESPONSE = 8  # at least, of the length to expect: a row waits for a quarter of a page between two samples
MOST_SEATS = 16  # rows per slot: long samples hold the slots of jobs that are over but for them, so slots must be many
PROMPT_SHARE = 1 / 20  # of what a row reads of its own response, its part of the prompt may add
SEATS_PER_ROW = 4  # a job's last samples leave most of its seats empty, the more the less alike their lengths are
SLACK = 1.1  # history pages over the expected number, as rows start together and only spread out later
SHARE = 0.9  # of the free memory; the rest is for what the compiler needs
MOST_ROWS = 4096
# Of TPUs: the last axis but one is padded to whole tiles, or is one of the smaller tiles; and how many arrays as large
# as the context of each prompt page are there at once.
_TILE, _WHOLE_TILES = 8, (1, 2, 4)
_SWEPT = 6
# With more rows products are little faster on CPU: not worth waiting for pages, nor rows that idle at the end.
CPU_ROWS, MORE_CPU_ROWS = 256, 512


@dataclasses.dataclass(frozen=True)
class Lengths:
    """What is known of the lengths, in tokens.

    Attributes:
        prompts: int [problems], of the prompts without the prefix.
        responses: float [problems], to expect of the responses.
        max_new: where responses are cut.
        begun: of the samples that may go on from a journal, on average; 0 if there are none.
    """

    prompts: np.ndarray
    responses: np.ndarray
    max_new: int
    begun: float = 0.0

    def pages(self, rows: int) -> int:
        """Returns how many pages the history of so many rows is expected to take, at once."""
        each = math.ceil(self.max_new / self.page_size)
        return min(rows * each, math.ceil(SLACK * rows * (self.history / self.page_size + 0.5)) + 2 * each)

    @property
    def page_size(self) -> int:
        """Tokens per page of the cache."""
        # It must be the same whatever is left to do, or the last bits of a path would not be.
        expected = float(np.mean(np.minimum(self.responses, self.max_new)))
        page = SHORTEST_PAGE
        while page < LONGEST_PAGE and page * PAGES_PER_ROW < self.max_new and 2 * page * PAGES_PER_RESPONSE <= expected:
            page *= 2
        return page

    @property
    def history(self) -> float:
        """Average tokens of a row's sequence so far, at a random step: longer sequences take more of the steps."""
        # What was seen at a random moment has half of its length, on average.
        cut = np.clip(np.maximum(self.responses, 2 * self.begun), 1, self.max_new).astype(float)
        return float(np.sum(cut**2) / (2 * np.sum(cut)))


def devices(mesh: Mesh) -> int:
    """Returns the data-parallel size: over how many devices rows are split, each standing for `tensor` of them."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def fit(
    lengths: Lengths,
    model: LlamaConfig,
    mesh: Mesh,
    *,
    samples: int,
    wanted: int,
    dtype: jnp.dtype,
    prefix: int,
    rows: int | None,
) -> CacheSizes:
    """Returns the sizes of the largest useful cache that fits beside the weights.

    Args:
        lengths: to expect.
        model: its architecture; the weights are on the devices already.
        mesh: of the devices.
        samples: of a problem, at most; jobs may have less (`CacheSizes.samples`).
        wanted: samples of all jobs.
        dtype: of the cache.
        prefix: tokens that all prompts share.
        rows: samples in flight on one device at most; None leaves it to the memory and the work.

    Raises:
        UserError: not even one problem fits; the message says what would help.
    """
    free = _least(min(free_bytes(device) for device in mesh.local_devices))
    backend = jax.default_backend()
    sizes = within(
        free, lengths, model, mesh, samples=samples, wanted=wanted, dtype=dtype, prefix=prefix, rows=rows,
        backend=backend,
    )  # fmt: skip
    if backend == "gpu":
        shape = heads_on_device(model, mesh.shape["tensor"])
        agrees = kernel_agrees(
            **shape, width=model.head_width, page_size=sizes.page_size, seats=sizes.seats, prefix=prefix, dtype=dtype
        )
        if _smallest(int(agrees)):
            sizes = dataclasses.replace(sizes, reading=Reading("kernel"))
    return sizes


def within(
    free: int,
    lengths: Lengths,
    model: LlamaConfig,
    mesh: Mesh,
    *,
    samples: int,
    wanted: int,
    dtype: jnp.dtype,
    prefix: int,
    rows: int | None,
    backend: str,
) -> CacheSizes:
    """Returns the sizes of the largest useful cache that fits into so many bytes; this machine has no part in it.

    Args:
        free: bytes of each device, beside the weights.
        lengths, model, mesh, samples, wanted, dtype, prefix, rows: as for `fit`.
        backend: of the devices, as `jax.default_backend()` says.

    Raises:
        UserError: as for `fit`.
    """
    tensor = mesh.shape["tensor"]
    token_bytes, row_bytes = bytes_of_token(model, tensor, dtype), bytes_of_row(model, tensor)
    free -= token_bytes * prefix

    def total(sizes: CacheSizes) -> int:
        temporaries = bytes_of_sweep(sizes, model, tensor, dtype) if backend == "tpu" else 0
        return token_bytes * sizes.tokens + row_bytes * sizes.rows + temporaries

    def cache_bytes(rows: int, cut: Lengths, history_pages: int | None = None) -> int:
        return total(cache_sizes(rows, cut, samples, history_pages, backend))

    def needed(rows: int, max_new: int = lengths.max_new) -> int:
        cut = dataclasses.replace(lengths, max_new=max_new)
        return cache_bytes(rows, cut, cut.pages(rows))

    if rows is None:
        each = math.ceil(wanted / devices(mesh))
        rows = min(each if each < 8 else _up(each, 8), MOST_ROWS)
        if backend == "cpu":
            many = each >= 10 * MORE_CPU_ROWS and cache_bytes(MORE_CPU_ROWS, lengths) <= free
            rows = min(rows, MORE_CPU_ROWS if many else CPU_ROWS)
    if needed(1) > free:
        fits = bisect.bisect_right(range(1, lengths.max_new), free, key=lambda max_new: needed(1, max_new))
        ways = [f"--config.max_new_tokens={fits} would fit"] if fits else []
        if tensor < mesh.size:
            ways.append(f"--config.mesh.tensor={2 * tensor} halves weights and cache of each device")
        ways.append("a smaller --config.prompt_tokens shortens what is kept")
        raise UserError(
            f"one problem needs {_size(needed(1))} beside the weights, but a device has {_size(free)} free: "
            f"{'; '.join(ways)}"
        )
    if needed(rows) > free:
        rows = bisect.bisect_right(range(1, rows), free, key=needed)
        rows -= rows % 8 if rows > 8 else 0
    # The pool takes what is left, as the lengths to expect may be wrong, but no more than the rows can fill.
    least, most = (cache_sizes(rows, lengths, samples, pages, backend) for pages in (0, None))
    pages = range(least.history_pages, most.history_pages + 1)
    fitting = bisect.bisect_right(pages, free, key=lambda pages: total(dataclasses.replace(most, history_pages=pages)))
    return dataclasses.replace(most, history_pages=pages[max(0, fitting - 1)])


def heads_on_device(model: LlamaConfig, tensor: int) -> dict[str, int]:
    """Returns how many `kv_heads` a device has, and `queries` of each, where `tensor` devices split the heads."""
    kv_heads = split_kv_heads(model.heads, model.kv_heads, tensor)
    kv_heads //= tensor if kv_heads % tensor == 0 else 1
    heads = model.heads // tensor if model.heads % tensor == 0 else model.heads
    return {"kv_heads": kv_heads, "queries": heads // kv_heads}


def bytes_of_token(model: LlamaConfig, tensor: int, dtype: jnp.dtype) -> int:
    """Returns the bytes of a token's keys and values on a device, where `tensor` devices split the heads."""
    return 2 * model.layers * heads_on_device(model, tensor)["kv_heads"] * model.head_width * jnp.dtype(dtype).itemsize


def bytes_of_row(model: LlamaConfig, tensor: int) -> int:
    """Returns the bytes of what a row computes with, on a device."""
    # Its logits are there several times: as the model gives them, exponentiated, and on their way.
    return 4 * (4 * model.vocabulary // tensor + 16 * model.width)


def bytes_of_sweep(sizes: CacheSizes, model: LlamaConfig, tensor: int, dtype: jnp.dtype) -> int:
    """Returns what a call of decode steps needs on a TPU beside the cache and what rows compute with, on a device.

    - Once: what is computed of a pool's pages. Prompts give the most, as all seats of their slot have queries. Each
      page's context is there as a whole and as made from a chunk of pages, with the queries; its scores, whose last
      axis a TPU pads to its lanes, are about as large, and so are the weights; one more for what is added up.
    - In each layer: a copy of the pages that rows write, in the layout in which a step writes one block. Tiles pad the
      heads of it. Where the heads do not fill tiles, those of the output projection are laid anew as well.

    Compiled programs need at most this, some an eighth (tests/plan/test_plan.py): donated memory is often used again.
    """
    heads, itemsize = heads_on_device(model, tensor), jnp.dtype(dtype).itemsize
    kv_heads, queries = heads["kv_heads"], heads["kv_heads"] * heads["queries"]
    prompts = 4 * _SWEPT * sizes.seats * (sizes.prompt_pages + sizes.slots)
    swept = queries * model.head_width * (prompts + 4 * sizes.history_pages)
    tiles = kv_heads if kv_heads in _WHOLE_TILES else _up(kv_heads, _TILE)
    layer = 2 * sizes.rows * sizes.page_size * tiles * model.head_width * itemsize
    if queries not in _WHOLE_TILES and queries % _TILE:
        layer += model.width * queries * model.head_width * itemsize
    return swept + model.layers * layer


def usable(memory: float, in_use: float) -> int:
    """Returns how much of a device's memory a cache may take, in bytes, where so much of it is in use."""
    return int(min(SHARE * (memory - in_use), FULL * memory - in_use))


def cache_sizes(
    rows: int, lengths: Lengths, samples: int, history_pages: int | None = None, backend: str | None = None
) -> CacheSizes:
    """Returns the sizes of a cache on one device.

    Args:
        rows: samples in flight.
        lengths: to expect.
        samples: of a problem, at most; jobs may have less (`CacheSizes.samples`).
        history_pages: for the responses; None: as many as the rows can ever need.
        backend: as for `within`; None: what JAX has here.
    """
    cpu = (backend or jax.default_backend()) == "cpu"
    seats = min(MOST_SEATS, samples, rows)
    if lengths.begun > 0:
        # Each sample that is resumed needs a slot for itself. Where responses are long, prompts are little to read
        # beside them, so few rows need to share one, and slots can be many; a problem's samples are several jobs then.
        shared = _power_of_two(float(np.mean(lengths.prompts)) / (PROMPT_SHARE * lengths.begun))
        if shared < seats:
            seats, samples = shared, min(samples, 2 * shared)
    slots = math.ceil((AHEAD if seats == 1 else SEATS_PER_ROW) * rows / seats)
    if samples == 1:
        slots = min(len(lengths.prompts), slots)
    page = lengths.page_size
    longest = _up(max(1, int(lengths.prompts.max()) - 1), page)
    pages_per_prompt = float(np.mean(np.ceil((lengths.prompts - 1) / page)))
    pages_per_row = math.ceil(lengths.max_new / page)
    prompt_pages = min(slots * longest // page, math.ceil(1.05 * slots * pages_per_prompt))
    return CacheSizes(
        rows=rows,
        slots=slots,
        seats=seats,
        samples=samples,
        # As many prompts as are expected, and one as long as any, with all that a resumed sample can have.
        prompt_pages=prompt_pages + longest // page + pages_per_row,
        history_pages=max(pages_per_row, rows * pages_per_row if history_pages is None else history_pages),
        prompt_width=longest,
        response_width=lengths.max_new,
        page_size=page,
        key_order="hc" if cpu else "ch",
        reading=Reading("walk" if cpu else "sweep"),
    )


def free_bytes(device: jax.Device) -> int:
    """Returns the memory that may still be used on a device, in bytes."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats:
        return usable(stats["bytes_limit"], stats["bytes_in_use"])
    # A CPU's devices share the machine; half of what is free is left to others.
    return host_bytes() // 2 // jax.local_device_count()


def host_bytes() -> int:
    """Returns the memory that may still be used on this machine, in bytes, what the system would give up included."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):  # no Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _least(number: int) -> int:
    """Returns the smallest of the processes' numbers of bytes, in whole MiB."""
    return _smallest(max(0, number) // 2**20) * 2**20  # bytes would not fit into JAX's integers


def _smallest(number: int) -> int:
    """Returns the smallest of the processes' numbers: all of them must run the same programs."""
    return int(np.min(multihost_utils.process_allgather(np.array(number, np.int32))))


def _size(number: int) -> str:
    return f"{max(0, number) / 2**30:.1f} GiB" if number > 2**30 else f"{max(0, number) / 2**20:.1f} MiB"


def _power_of_two(number: float) -> int:
    """Returns the smallest power of two that is not below a number; at least 1."""
    return 2 ** max(0, math.ceil(math.log2(number)))


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
