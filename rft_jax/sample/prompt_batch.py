"""Prompts to read in one call, as arrays."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np

from rft_jax.sample.job import Job
from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.seating import Array, Slots

PREFILL_ROWS = 8  # prompts per device and prefill call


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["tokens", "lengths", "slots", "pages", "wanted"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class PromptBatch:
    """Prompts to read: arrays as `kv.prefill` takes them, and what is wanted of each, as in `seating.Slots`."""

    tokens: Array
    lengths: Array
    slots: Array
    pages: Array
    wanted: Slots


@dataclasses.dataclass(eq=False)
class Placed:
    """A job with a place on a device.

    Attributes:
        job: what is wanted.
        slot, pages: what it holds on its device.
    """

    job: Job
    slot: int
    pages: list[int]


def prompt_batch(
    taken: Sequence[Sequence[Placed]], sizes: CacheSizes, skipped: int, *, at_least: int = 0
) -> PromptBatch:
    """Returns the prompts of some jobs as `kv.prefill` takes them.

    Args:
        taken: the jobs of each device, perhaps none.
        sizes: of the cache on one device.
        skipped: tokens of the prefix before each prompt.
        at_least: tokens that the width has room for.
    """
    longest = max((before_last(one.job) for placed in taken for one in placed), default=0)
    longest = max(longest, at_least)
    width, rows = _width(longest, sizes)
    shape = (len(taken), rows)
    tokens = np.zeros((*shape, width), np.int32)
    pages = np.full((*shape, width // sizes.page_size), sizes.no_prompt_page, np.int32)
    at = np.full(shape, sizes.no_slot, np.int32)
    problem, last_token, before, begun, size = (np.zeros(shape, np.int32) for _ in range(5))
    samples = np.zeros((*shape, sizes.samples), np.int32)
    for device, placed in enumerate(taken):
        for row, one in enumerate(placed):
            job, here = one.job, (device, row)
            text = np.concatenate([job.prompt, job.begun])
            before[here], begun[here] = len(text) - 1, len(job.begun)
            tokens[device, row, : len(text) - 1] = text[:-1]
            last_token[here] = text[-1]  # each sample's first to read
            pages[device, row, : len(one.pages)] = one.pages
            at[here], problem[here], size[here] = one.slot, job.problem, len(job.samples)
            samples[device, row, : len(job.samples)] = job.samples

    def flat(x: np.ndarray) -> np.ndarray:
        return x.reshape(-1, *x.shape[2:])

    wanted = Slots(
        problem=flat(problem), last_token=flat(last_token), length=flat(before) + skipped, begun=flat(begun),
        samples=flat(samples), size=flat(size), taken=np.zeros(len(flat(size)), np.int32),
        members=np.zeros((len(flat(size)), 0), np.int32),
    )  # fmt: skip
    return PromptBatch(flat(tokens), flat(before), flat(at), flat(pages), wanted)


def most_prompts(sizes: CacheSizes) -> int:
    """Returns how many prompts per device a batch holds."""
    return min(PREFILL_ROWS, sizes.slots)


def half_width(sizes: CacheSizes) -> int:
    """Returns the width at which short prompts are read, as most are far from the longest.

    A prompt's width depends on nothing but its length, so that its keys and values are the same in any company.
    """
    return -(-sizes.prompt_width // (2 * sizes.page_size)) * sizes.page_size


def before_last(job: Job) -> int:
    """Returns how many tokens are read before the last one, which each sample reads first."""
    return len(job.prompt) + len(job.begun) - 1


def _width(longest: int, sizes: CacheSizes) -> tuple[int, int]:
    """Returns the width of a batch of prompts, and its rows: few shapes, as each is compiled."""
    if longest <= sizes.prompt_width:
        return half_width(sizes) if longest <= half_width(sizes) else sizes.prompt_width, most_prompts(sizes)
    width = max(sizes.prompt_width, sizes.page_size)
    while width < longest:
        width *= 2
    return min(width, sizes.pages_per_slot * sizes.page_size), 1
