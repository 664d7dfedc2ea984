"""The host side of sampling: which row samples what, and whose prompt lies where. It knows no text and no device.

A *job* is a problem whose prompt is read once and of which some samples are wanted. It holds a slot and is joined by up
to W rows of one device. A row that ends a sample goes on with the next one of its job without asking
(`Orders.queued`); between two calls the host moves rows without work to the oldest job that has some. So the rows stay
full whatever the lengths, and no order of the problems is needed.
"""

import dataclasses
import heapq
from collections.abc import Iterator

import numpy as np

from rft_jax.sample.decode import ENDED, GOES_ON, NONE, Orders, Steps
from rft_jax.sample.kv.pages import Sizes

PREFILL_ROWS = 8  # prompts that a device reads in a call


@dataclasses.dataclass(frozen=True)
class Job:
    """Samples wanted of one problem.

    Attributes:
        problem: its number.
        prompt: int32 [tokens], without the prefix that all share; at least one.
        samples: their numbers, ascending.
    """

    problem: int
    prompt: np.ndarray
    samples: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Response:
    """One sample, done.

    Attributes:
        problem, sample: their numbers.
        tokens: int32 [tokens], an end token included.
        ended: whether it came to its end; otherwise it was cut at the limit.
    """

    problem: int
    sample: int
    tokens: np.ndarray
    ended: bool


@dataclasses.dataclass(frozen=True)
class PromptBatch:
    """Prompts to read, as `kv.prefill` takes them."""

    tokens: np.ndarray
    lengths: np.ndarray
    slots: np.ndarray
    blocks: np.ndarray


@dataclasses.dataclass(eq=False)
class _Active:
    """A job that holds a slot.

    Attributes:
        job: what is wanted.
        slot, blocks: what it holds on its device.
        waiting: samples that no row has begun, ascending.
        rows: the rows on it, by seat; NONE where there is none.
    """

    job: Job
    slot: int
    blocks: list[int]
    waiting: list[int]
    rows: list[int]


class _Device:
    """What one device holds: its jobs, oldest first, and what is free."""

    def __init__(self, sizes: Sizes) -> None:
        self.jobs: list[_Active] = []
        self.slots = list(range(sizes.slots))
        self.blocks = list(range(sizes.prompt_blocks))


class Schedule:
    """Who does what. In turn call `fill` until it returns None, `orders`, and, after the device, `record`."""

    def __init__(self, sizes: Sizes, *, devices: int, skipped: int) -> None:
        """Starts with nothing to do.

        Args:
            sizes: of the cache on one device.
            devices: over which the rows are split.
            skipped: tokens of the prefix before each prompt.
        """
        self._sizes, self._skipped = sizes, skipped
        self._devices = [_Device(sizes) for _ in range(devices)]
        rows = sizes.rows * devices
        self._active: list[_Active | None] = [None] * rows
        self._sample = np.full(rows, NONE, np.int32)
        self._count = np.zeros(rows, np.int32)
        self._tokens = np.zeros((rows, sizes.suffix_width), np.int32)
        self._problem, self._last_token, self._length, self._seat = (np.zeros(rows, np.int32) for _ in range(4))
        self._members = np.full((sizes.slots * devices, sizes.together), sizes.rows, np.int32)
        self._next: Job | None = None
        self.steps = self.useful = self.lost = 0

    @property
    def busy(self) -> bool:
        """Whether any job is not done."""
        return any(device.jobs for device in self._devices)

    @property
    def made(self) -> int:
        """Tokens of all samples so far, also of those that are not done."""
        return self.useful + int(np.sum(self._count))

    @property
    def occupancy(self) -> float:
        """The share of the rows' steps so far that gave a token; what was lost does not count."""
        return self.made / max(1, self.steps)

    def fill(self, jobs: Iterator[Job]) -> PromptBatch | None:
        """Takes as many jobs as there is room for in one call; None when there is none, or no job."""
        sizes = self._sizes
        taken: list[list[_Active]] = [[] for _ in self._devices]
        while (job := self._next or next(jobs, None)) is not None:
            self._next = job
            needed = -(-(len(job.prompt) - 1) // sizes.block)
            able = [
                number
                for number, device in enumerate(self._devices)
                if device.slots and len(device.blocks) >= needed and len(taken[number]) < PREFILL_ROWS
            ]
            if not able:
                break
            number = min(able, key=lambda number: len(self._devices[number].jobs))
            device = self._devices[number]
            blocks = [heapq.heappop(device.blocks) for _ in range(needed)]
            active = _Active(job, heapq.heappop(device.slots), blocks, list(job.samples), [NONE] * self._sizes.together)
            device.jobs.append(active)
            taken[number].append(active)
            self._next = None
        if not any(taken):
            return None
        return self.batch(taken)

    def batch(self, taken: list[list[_Active]]) -> PromptBatch:
        """Returns the prompts of some jobs, by device, as the device takes them; of none, an empty batch."""
        sizes, shape = self._sizes, (len(taken), PREFILL_ROWS)
        tokens = np.zeros((*shape, sizes.prompt_width), np.int32)
        lengths = np.zeros(shape, np.int32)
        slots = np.full(shape, sizes.slots, np.int32)
        blocks = np.full((*shape, sizes.prompt_width // sizes.block), sizes.prompt_blocks, np.int32)
        for device, actives in enumerate(taken):
            for row, active in enumerate(actives):
                length = len(active.job.prompt) - 1  # the last token is each sample's first to read
                tokens[device, row, :length] = active.job.prompt[:-1]
                lengths[device, row] = length
                slots[device, row] = active.slot
                blocks[device, row, : len(active.blocks)] = active.blocks
        return PromptBatch(*(x.reshape(-1, *x.shape[2:]) for x in (tokens, lengths, slots, blocks)))

    def orders(self) -> Orders:
        """Gives every row without a sample some work, if there is any, and every row something to do next."""
        queued = np.full(len(self._sample), NONE, np.int32)
        for number, device in enumerate(self._devices):
            own = range(number * self._sizes.rows, (number + 1) * self._sizes.rows)
            free = [row for row in own if self._active[row] is None]
            for active in device.jobs:
                if not active.waiting:
                    continue
                wanted = len(active.waiting) - sum(self._idle(row) for row in active.rows)
                empty = (seat for seat, row in enumerate(active.rows) if row == NONE)
                for seat, _ in zip(empty, range(min(wanted, len(free))), strict=False):
                    self._sit(active, seat, free.pop())
                rows = [row for row in active.rows if row != NONE]
                # First those without a sample, then those whose sample is the longest and may end first.
                rows.sort(key=lambda row: (self._sample[row] != NONE, -self._count[row]))
                for row, sample in zip(rows, active.waiting, strict=False):
                    queued[row] = sample
        return Orders(
            self._problem.copy(), self._last_token.copy(), self._length.copy(), queued, self._seat.copy(),
            self._members.copy(),
        )  # fmt: skip

    def _idle(self, row: int) -> bool:
        return row != NONE and self._sample[row] == NONE

    def _sit(self, active: _Active, seat: int, row: int) -> None:
        device = row // self._sizes.rows
        active.rows[seat] = row
        self._active[row] = active
        self._problem[row] = active.job.problem
        self._last_token[row] = active.job.prompt[-1]
        self._length[row] = self._skipped + len(active.job.prompt) - 1
        self._seat[row] = active.slot * self._sizes.together + seat
        self._members[device * self._sizes.slots + active.slot, seat] = row % self._sizes.rows

    def record(self, steps: Steps) -> list[Response]:
        """Takes in what the rows did (as numpy arrays) and returns the samples that are done."""
        done = []
        for token, sample, finish in zip(steps.token, steps.sample, steps.finish, strict=True):
            live = np.flatnonzero(sample != NONE)
            for row in live[self._sample[live] == NONE]:
                self._of(row).waiting.remove(sample[row])
            self._tokens[live, self._count[live]] = token[live]
            self._count[live] += 1
            self._sample[live] = sample[live]
            for row in np.flatnonzero(finish != GOES_ON):
                tokens = self._tokens[row, : self._count[row]].copy()
                done.append(Response(self._of(row).job.problem, int(sample[row]), tokens, bool(finish[row] == ENDED)))
                self._sample[row] = NONE
                self._count[row] = 0
        self.steps += steps.token.size
        self.useful += sum(len(response.tokens) for response in done)
        self._count[steps.lost] = 0
        self.lost += int(np.sum(steps.lost))
        self._release()
        return done

    def _of(self, row: int | np.integer) -> _Active:
        active = self._active[row]
        if active is None:
            raise ValueError(f"row {row} sampled without an order")
        return active

    def _release(self) -> None:
        """Frees the rows that have nothing to do, and what the jobs held that are done."""
        for number, device in enumerate(self._devices):
            for active in device.jobs:
                if active.waiting:
                    continue
                for seat, row in enumerate(active.rows):
                    if self._idle(row):
                        active.rows[seat] = NONE
                        self._active[row] = None
                        self._members[number * self._sizes.slots + active.slot, seat] = self._sizes.rows
                if all(row == NONE for row in active.rows):
                    heapq.heappush(device.slots, active.slot)
                    for block in active.blocks:
                        heapq.heappush(device.blocks, block)
            device.jobs = [job for job in device.jobs if job.waiting or any(row != NONE for row in job.rows)]
