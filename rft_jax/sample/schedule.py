"""The host side of sampling: which row decodes which sample, and where each prompt is. It knows no text and no device.

A *job* is the samples wanted of one problem, whose prompt is read once. It holds a slot, with *seats* for up to R rows
of one device. A row whose sequence ends starts the next one of its job at once (`Orders.queued`); between two calls the
host moves idle rows to the oldest job that has samples waiting. So rows stay busy whatever the lengths, and the
problems need no particular order.
"""

import dataclasses
import heapq
from collections.abc import Iterator

import numpy as np

from rft_jax.sample.decode import ENDED, GOES_ON, NONE, Orders, Steps
from rft_jax.sample.kv.pages import CacheSizes

PREFILL_ROWS = 8  # prompts per device and prefill call


@dataclasses.dataclass(frozen=True)
class Job:
    """Samples wanted of one problem.

    Attributes:
        problem: its number.
        prompt: int32 [tokens], without the prefix that all prompts share; at least one token.
        samples: their numbers, ascending.
    """

    problem: int
    prompt: np.ndarray
    samples: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Response:
    """One finished sample.

    Attributes:
        problem, sample: their numbers.
        tokens: int32 [tokens], an eos token included.
        ended: whether it ended with eos; otherwise it was cut at the limit.
    """

    problem: int
    sample: int
    tokens: np.ndarray
    ended: bool


@dataclasses.dataclass(frozen=True)
class PromptBatch:
    """Prompts to read; arrays as `kv.prefill` takes them."""

    tokens: np.ndarray
    lengths: np.ndarray
    slots: np.ndarray
    pages: np.ndarray


@dataclasses.dataclass(eq=False)
class _Active:
    """A job that holds a slot.

    Attributes:
        job: what is wanted.
        slot, pages: what it holds on its device.
        waiting: samples that no row has started, ascending.
        rows: the row in each seat, NONE for an empty seat.
    """

    job: Job
    slot: int
    pages: list[int]
    waiting: list[int]
    rows: list[int]


class _Device:
    """What one device holds: its jobs, oldest first, and what is free."""

    def __init__(self, sizes: CacheSizes) -> None:
        self.jobs: list[_Active] = []
        self.slots = list(range(sizes.slots))
        self.pages = list(range(sizes.prompt_pages))


class Schedule:
    """Assigns work to rows. Call in turn `fill` until it returns None, `orders`, and, after the device, `record`."""

    def __init__(self, sizes: CacheSizes, *, devices: int, skipped: int) -> None:
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
        self._tokens = np.zeros((rows, sizes.response_width), np.int32)
        self._problem, self._last_token, self._length, self._seat = (np.zeros(rows, np.int32) for _ in range(4))
        self._members = np.full((sizes.slots * devices, sizes.seats), sizes.no_row, np.int32)
        self._next: Job | None = None
        self.steps = self.useful = self.lost = 0

    @property
    def busy(self) -> bool:
        """Whether any job is unfinished."""
        return any(device.jobs for device in self._devices)

    @property
    def made(self) -> int:
        """Tokens of all samples so far, the unfinished ones included."""
        return self.useful + int(np.sum(self._count))

    @property
    def occupancy(self) -> float:
        """The fraction of the rows' steps so far that gave a token; tokens of lost sequences do not count."""
        return self.made / max(1, self.steps)

    def fill(self, jobs: Iterator[Job]) -> PromptBatch | None:
        """Takes as many jobs as fit in one prefill call; returns None when there is no room or no job left."""
        sizes = self._sizes
        taken: list[list[_Active]] = [[] for _ in self._devices]
        while (job := self._next or next(jobs, None)) is not None:
            self._next = job
            needed = -(-(len(job.prompt) - 1) // sizes.page_size)
            able = [
                number
                for number, device in enumerate(self._devices)
                if device.slots and len(device.pages) >= needed and len(taken[number]) < PREFILL_ROWS
            ]
            if not able:
                break
            number = min(able, key=lambda number: len(self._devices[number].jobs))
            device = self._devices[number]
            pages = [heapq.heappop(device.pages) for _ in range(needed)]
            active = _Active(job, heapq.heappop(device.slots), pages, list(job.samples), [NONE] * self._sizes.seats)
            device.jobs.append(active)
            taken[number].append(active)
            self._next = None
        if not any(taken):
            return None
        return self.batch(taken)

    def batch(self, taken: list[list[_Active]]) -> PromptBatch:
        """Returns the prompts of some jobs as `prefill` takes them: taken[d] is device d's, perhaps none."""
        sizes, shape = self._sizes, (len(taken), PREFILL_ROWS)
        tokens = np.zeros((*shape, sizes.prompt_width), np.int32)
        lengths = np.zeros(shape, np.int32)
        slots = np.full(shape, sizes.no_slot, np.int32)
        pages = np.full((*shape, sizes.prompt_width // sizes.page_size), sizes.no_prompt_page, np.int32)
        for device, actives in enumerate(taken):
            for row, active in enumerate(actives):
                length = len(active.job.prompt) - 1  # the last token is each sample's first to read
                tokens[device, row, :length] = active.job.prompt[:-1]
                lengths[device, row] = length
                slots[device, row] = active.slot
                pages[device, row, : len(active.pages)] = active.pages
        return PromptBatch(*(x.reshape(-1, *x.shape[2:]) for x in (tokens, lengths, slots, pages)))

    def orders(self) -> Orders:
        """Seats idle rows at jobs with samples waiting, and queues a next sample for every row."""
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
                # Idle rows first, then those with the longest sequences, which are the likeliest to end.
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
        self._seat[row] = active.slot * self._sizes.seats + seat
        self._members[device * self._sizes.slots + active.slot, seat] = row % self._sizes.rows

    def record(self, steps: Steps) -> list[Response]:
        """Records what the rows did (as numpy arrays) and returns the samples that finished."""
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
            raise ValueError(f"row {row} decoded a sample that nobody ordered")
        return active

    def _release(self) -> None:
        """Frees the idle rows of jobs with nothing waiting, and the slots and pages of finished jobs."""
        for number, device in enumerate(self._devices):
            for active in device.jobs:
                if active.waiting:
                    continue
                for seat, row in enumerate(active.rows):
                    if self._idle(row):
                        active.rows[seat] = NONE
                        self._active[row] = None
                        self._members[number * self._sizes.slots + active.slot, seat] = self._sizes.no_row
                if all(row == NONE for row in active.rows):
                    heapq.heappush(device.slots, active.slot)
                    for page in active.pages:
                        heapq.heappush(device.pages, page)
            device.jobs = [job for job in device.jobs if job.waiting or any(row != NONE for row in job.rows)]
