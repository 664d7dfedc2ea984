"""The host side of sampling: which prompts are on the devices, and what the rows did. It knows no text and no device.

A *job* is the samples wanted of one problem, whose prompt is read once, into a slot; the rows take its samples by
themselves (seating.py). The host plans each call while the one before runs, so it knows what happened up to the call
before that.
"""

import collections
import dataclasses
import heapq
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rft_jax.errors import UserError
from rft_jax.sample.admission import Admission
from rft_jax.sample.decode import ENDED, GOES_ON, STEPS, Orders, Steps
from rft_jax.sample.job import Job, Response
from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.prompt_batch import Placed, PromptBatch, before_last, half_width, most_prompts, prompt_batch
from rft_jax.sample.seating import NONE

AHEAD = 1.5  # samples that are running or may start, for each row: a row must find work while the host looks away

PREFILLS = 4  # planned at once, so that few are half empty: long and short prompts are read apart

# `StopTexts.found`.
TextStop = Callable[[Sequence[np.ndarray], Sequence[int]], np.ndarray]


@dataclasses.dataclass(eq=False)
class _Active(Placed):
    """A job that holds a slot.

    Attributes:
        waiting: samples that no row has started.
        unfinished: samples that have not come back.
    """

    waiting: int
    unfinished: int


class _Device:
    """What one device holds: its jobs by slot, oldest first, and what is free."""

    def __init__(self, sizes: CacheSizes) -> None:
        self.jobs: dict[int, _Active] = {}
        self.slots = list(range(sizes.slots))
        self.pages = list(range(sizes.prompt_pages))  # a heap: low numbers first, as a step reads up to the highest
        self.admission = Admission(sizes)


class Schedule:
    """Assigns work to devices. Call `fill` until it returns None, then `orders`; after the device, `record`."""

    def __init__(
        self,
        sizes: CacheSizes,
        *,
        devices: int,
        skipped: int,
        steps: int = STEPS,
        text_stop: TextStop | None = None,
        logprobs: bool = False,
    ) -> None:
        """Starts with nothing to do.

        Args:
            sizes: of the cache on one device.
            devices: over which the rows are split.
            skipped: tokens of the prefix before each prompt.
            steps: of a call.
            text_stop: looks for stop texts after each call; None where there are none.
            logprobs: whether the device tells the tokens' log-probabilities.
        """
        if sizes.page_size // 2 % steps:
            raise ValueError(f"half a page of {sizes.page_size} steps is not a whole number of calls of {steps}")
        self._sizes, self._skipped, self._steps, self._text_stop = sizes, skipped, steps, text_stop
        self._now = 0  # the step that the next call begins with, modulo C
        self._devices = [_Device(sizes) for _ in range(devices)]
        rows = sizes.rows * devices
        self._sample = np.full(rows, NONE, np.int32)  # what each row was seen to decode last
        self._slot = np.zeros(rows, np.int32)
        self._count = np.zeros(rows, np.int32)
        self._tokens = np.zeros((rows, sizes.response_width), np.int32)
        self._logprobs = np.zeros((rows, sizes.response_width, 2), np.float32) if logprobs else None
        self._looked = np.zeros(rows, np.int32)  # tokens in which there is no stop text
        self._age = np.zeros(rows, np.int32)  # in turns of the page
        self._over = np.zeros(rows, bool)  # decodes a sample that a stop text has ended, or that has failed
        self.failure: UserError | None = None
        self._batches: collections.deque[PromptBatch] = collections.deque()  # of jobs that have their places
        self._resumed: collections.deque[Job] = collections.deque()
        self._next: Job | None = None
        self.steps = self.made = self.read_again = 0  # rows' steps, and tokens

    @property
    def busy(self) -> bool:
        """Whether any job is unfinished, as far as the host has seen."""
        return any(device.jobs for device in self._devices) or bool(self._resumed) or self._next is not None

    @property
    def occupancy(self) -> float:
        """The fraction of the rows' steps so far that gave a token of a response."""
        return self.made / max(1, self.steps)

    def begun(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yields problem, sample and tokens so far, int32 [tokens], of each unfinished sample that has any."""
        for row in np.flatnonzero((self._sample != NONE) & ~self._over).tolist():
            job = self._active(row).job
            yield job.problem, int(self._sample[row]), self._tokens[row, : self._count[row]].copy()
        for device in self._devices:
            for active in device.jobs.values():
                if active.waiting and len(active.job.begun):
                    yield active.job.problem, active.job.samples[0], active.job.begun
        for job in [*self._resumed, *([self._next] if self._next and len(self._next.begun) else [])]:
            yield job.problem, job.samples[0], job.begun

    def fill(self, jobs: Iterator[Job]) -> PromptBatch | None:
        """Takes as many jobs as fit in a few prefill calls; returns None when there is no room or no job left."""
        if self._batches:
            return self._batches.popleft()
        sizes = self._sizes
        taken: list[list[_Active]] = [[] for _ in self._devices]
        chances = [self._chances(number) for number in range(len(self._devices))]
        most = sizes.rows * (AHEAD if self.steps else 1)  # the first step waits for no more prompts than it needs
        while (job := self._next or self._another(jobs)) is not None:
            self._next = job
            needed = -(-before_last(job) // sizes.page_size)
            able = [
                number
                for number, device in enumerate(self._devices)
                if device.slots
                and len(device.pages) >= needed
                and len(taken[number]) < PREFILLS * most_prompts(sizes)
                and chances[number] < most
            ]
            if not able or (len(job.begun) > 0 and any(taken)):  # resumed samples are wider: one at a time
                break
            number = min(able, key=lambda number: len(self._devices[number].jobs))
            device = self._devices[number]
            pages = [heapq.heappop(device.pages) for _ in range(needed)]
            slot, count = heapq.heappop(device.slots), len(job.samples)
            device.jobs[slot] = active = _Active(job, slot, pages, waiting=count, unfinished=count)
            taken[number].append(active)
            chances[number] += min(count, sizes.seats)
            self.read_again += len(job.begun)
            self._next = None
            if len(job.begun):
                break
        for short in (True, False):
            each = [[one for one in placed if (before_last(one.job) <= half_width(sizes)) == short] for placed in taken]
            for start in range(0, max(map(len, each)), most_prompts(sizes)):
                batch = [placed[start : start + most_prompts(sizes)] for placed in each]
                self._batches.append(prompt_batch(batch, sizes, self._skipped))
        return self._batches.popleft() if self._batches else None

    def _chances(self, number: int) -> int:
        """Returns how many samples of a device's jobs run, or may start beside those that do."""
        own = slice(number * self._sizes.rows, (number + 1) * self._sizes.rows)
        running = np.bincount(self._slot[own][self._sample[own] != NONE], minlength=self._sizes.slots)
        jobs = self._devices[number].jobs.values()
        return sum(min(int(running[active.slot]) + active.waiting, self._sizes.seats) for active in jobs)

    def _another(self, jobs: Iterator[Job]) -> Job | None:
        return self._resumed.popleft() if self._resumed else next(jobs, None)

    def orders(self) -> Orders:
        """Plans the next call."""
        sizes, now = self._sizes, self._now
        self._now = (now + self._steps) % sizes.page_size
        starting = now % (sizes.page_size // 2) == 0
        order = np.zeros((len(self._devices), sizes.slots), np.int32)
        room, reach, depth = (np.zeros(len(self._devices), np.int32) for _ in range(3))
        for number, device in enumerate(self._devices):
            jobs = list(device.jobs.values())
            resumed_first = sorted(jobs, key=lambda active: len(active.job.begun) == 0)
            order[number] = [*(active.slot for active in resumed_first), *device.slots]
            own = slice(number * sizes.rows, (number + 1) * sizes.rows)
            ages = self._age[own][self._sample[own] != NONE]
            waiting = sum(active.waiting for active in jobs) if starting else 0
            room[number] = device.admission.room(ages, waiting=waiting)
            reach[number] = 1 + max((active.pages[-1] for active in jobs if active.pages), default=-1)
            depth[number] = max((len(active.pages) for active in jobs), default=0)
        stop_slot, stop_sample = (np.where(self._over, x, NONE).astype(np.int32) for x in (self._slot, self._sample))
        return Orders(order.reshape(-1), room, stop_slot, stop_sample, reach, depth, np.asarray(now, np.int32))

    def record(self, steps: Steps, lost: np.ndarray | None) -> list[Response]:
        """Records what the rows did, and returns the samples that finished.

        Args:
            steps: as numpy arrays.
            lost: bool [B], as `decode.turn_page` returns it; None for a call that has filled no page.
        """
        done: list[Response] = []
        columns = steps.token, steps.sample, steps.slot, steps.finish, steps.finite
        for step, (token, sample, slot, finish, finite) in enumerate(zip(*columns, strict=True)):
            left = self._over & ((self._sample != sample) | (self._slot != slot))
            self._sample[left], self._over[left] = NONE, False
            live = sample != NONE
            for row in np.flatnonzero(live & (self._sample == NONE)).tolist():
                self._start(row, int(sample[row]), int(slot[row]))
            useful = np.flatnonzero(live & ~self._over)
            self._tokens[useful, self._count[useful]] = token[useful]
            if self._logprobs is not None and steps.logprobs is not None:
                self._logprobs[useful, self._count[useful]] = steps.logprobs[step, useful]
            self._count[useful] += 1
            self.made += len(useful)
            for row in useful[~finite[useful]].tolist():
                self._fail(row)
            for row in np.flatnonzero(finish != GOES_ON).tolist():
                if not self._over[row]:
                    done.append(self._finish(row, ended=bool(finish[row] == ENDED)))
                self._sample[row], self._over[row] = NONE, False
        self.steps += steps.token.size if np.any(steps.sample != NONE) else 0  # the device skips a call without work
        if self._text_stop is not None:
            rows = np.flatnonzero((self._sample != NONE) & ~self._over)
            new = (self._count[rows] - self._looked[rows]).tolist()
            kept = self._text_stop([self._tokens[row, : self._count[row]] for row in rows], new)
            self._looked[rows] = self._count[rows]
            for row, count in zip(rows[kept > 0].tolist(), kept[kept > 0].tolist(), strict=True):
                self._count[row] = count
                done.append(self._finish(row, ended=False))
                self._over[row] = True  # until the device, which is one call ahead, has let it go
        if lost is not None:
            self._turn_page(lost)
        self._release()
        return done

    def _start(self, row: int, sample: int, slot: int) -> None:
        self._sample[row], self._slot[row] = sample, slot
        active = self._active(row)
        active.waiting -= 1
        begun = active.job.begun
        self._tokens[row, : len(begun)] = begun
        if self._logprobs is not None and active.job.logprobs is not None:
            self._logprobs[row, : len(begun)] = active.job.logprobs
        self._count[row] = self._looked[row] = len(begun)
        self._age[row] = len(begun) // (self._sizes.page_size // 2)

    def _finish(self, row: int, *, ended: bool) -> Response:
        active = self._active(row)
        active.unfinished -= 1
        self._device(row).admission.ended(self._age[row])
        tokens = self._tokens[row, : self._count[row]].copy()
        return Response(active.job.problem, int(self._sample[row]), tokens, ended, self._told(row))

    def _turn_page(self, lost: np.ndarray) -> None:
        """Ages the samples that go on, and takes back those that have lost their pages, the longest first."""
        for number, device in enumerate(self._devices):
            own = slice(number * self._sizes.rows, (number + 1) * self._sizes.rows)
            device.admission.turn_page(self._age[own][(self._sample[own] != NONE) & ~self._over[own]])
        self._age[self._sample != NONE] += 1
        rows = np.flatnonzero(lost)
        for row in rows[np.argsort(-self._count[rows], kind="stable")].tolist():
            if not self._over[row]:
                active = self._active(row)
                active.unfinished -= 1
                sample, begun = int(self._sample[row]), self._tokens[row, : self._count[row]].copy()
                self._resumed.append(Job(active.job.problem, active.job.prompt, (sample,), begun, self._told(row)))
            self._sample[row], self._over[row] = NONE, False

    def _told(self, row: int) -> np.ndarray | None:
        return None if self._logprobs is None else self._logprobs[row, : self._count[row]].copy()

    def _fail(self, row: int) -> None:
        problem, sample = self._active(row).job.problem, self._sample[row]
        self.failure = self.failure or UserError(
            f"problem {problem}, sample {sample}, token {self._count[row]}: the model's logits are not finite (NaN or "
            "infinity), so nothing can be sampled; its weights are damaged, or too large for --config.compute"
        )
        self._over[row] = True  # its tokens mean nothing: no response and no journal has them

    def _device(self, row: int) -> _Device:
        return self._devices[row // self._sizes.rows]

    def _active(self, row: int) -> _Active:
        return self._device(row).jobs[int(self._slot[row])]

    def _release(self) -> None:
        """Frees the slots and pages of the jobs that are finished and that every row has left."""
        for number, device in enumerate(self._devices):
            own = slice(number * self._sizes.rows, (number + 1) * self._sizes.rows)
            taken = set(self._slot[own][self._sample[own] != NONE].tolist())
            for slot, active in list(device.jobs.items()):
                if not active.waiting and not active.unfinished and slot not in taken:
                    del device.jobs[slot]
                    heapq.heappush(device.slots, slot)
                    for page in active.pages:
                        heapq.heappush(device.pages, page)
