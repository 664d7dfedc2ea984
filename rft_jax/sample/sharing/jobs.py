"""The jobs of a run, as its worker claims them. They are the same on all its processes, at the same points."""

import collections
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rft_jax import stopping
from rft_jax.sample.job import Job, split
from rft_jax.sample.sharing.agree import from_first
from rft_jax.sample.sharing.share import Share


class Jobs:
    """An iterator that ends when there is no job at the moment, and may be asked again later.

    The jobs of one tile, one per problem, come before those of the next, so that a tile is finished before many others
    are begun. A sample that a journal has the beginning of is a job of its own, if it goes on from there.
    """

    def __init__(
        self,
        share: Share | None,
        prompts: Sequence[np.ndarray],
        *,
        most: int,
        resumable: float = 1.0,
        agree: Callable[[Callable[[], Any]], Any] = from_first,
        sleep: Callable[[float], None] = stopping.pause,
    ) -> None:
        """Starts with no job.

        Args:
            share: of this worker, None on all processes but the first.
            prompts: for each problem int32 [tokens].
            most: samples per job.
            resumable: share of a tile's samples that may go on from what a journal has of them, the longest first. Each
                takes a slot for itself, so where slots are for many rows the others are faster begun anew.
            agree: calls a function on the first process and returns its result on all.
            sleep: for so many seconds.
        """
        self._share, self._prompts, self._agree, self._sleep = share, prompts, agree, sleep
        self._most, self._resumable = most, resumable
        self._jobs: collections.deque[Job] = collections.deque()

    def __iter__(self) -> "Jobs":
        return self

    def __next__(self) -> Job:
        """Returns a job; raises StopIteration if there is none at the moment."""
        if not self._fetch():
            raise StopIteration
        return self._jobs.popleft()

    def left(self) -> bool:
        """Waits for a job while other workers have claimed all that is left; returns False when every path is there."""
        while not self._fetch():
            complete, pause = self._agree(lambda: [self._first.complete(), self._first.pause])
            if complete:
                return False
            self._sleep(pause)
        return True

    @property
    def _first(self) -> Share:
        if self._share is None:
            raise ValueError("only the first process shares work with other workers")
        return self._share

    def _fetch(self) -> bool:
        """Returns whether there is a job, after it claimed a tile if there was none."""
        if not self._jobs:
            claimed = self._agree(lambda: self._first.claim())
            if claimed is None:
                return False
            most = math.ceil(self._resumable * sum(len(samples) for _, samples in claimed["jobs"]))
            longest = sorted(claimed["begun"], key=lambda one: -len(one[2]))[:most]
            begun = {(problem, sample): tokens for problem, sample, tokens in longest}
            for problem, samples in claimed["jobs"]:
                prompt, fresh = self._prompts[problem], [s for s in samples if (problem, s) not in begun]
                for sample in sorted(set(samples) - set(fresh)):
                    self._jobs.append(Job(problem, prompt, (sample,), np.array(begun[problem, sample], np.int32)))
                self._jobs += split(Job(problem, prompt, tuple(fresh)), self._most)
        return True
