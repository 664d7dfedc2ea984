"""Progress of sampling: paths done, tokens per second, occupancy, share of right answers, time left."""

import logging
import sys
import time
from types import TracebackType

import jax
from tqdm import tqdm

from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.sample.schedule import Schedule
from rft_jax.task.grader import Grader

log = logging.getLogger(__name__)


class Progress:
    """A bar on process 0 if that is a terminal, and a summary at the end."""

    def __init__(
        self, wanted: int, there: int, schedule: Schedule, problems: list[Problem], grader: Grader, budget: str | None
    ) -> None:
        """Starts the clock.

        Args:
            wanted: paths at the end.
            there: paths that need not be sampled.
            schedule: whose occupancy is told.
            problems: with their gold answers; one that the grader cannot read is never right.
            grader: tells which paths are right.
            budget: that decides how many paths there are; None: `wanted` is all.
        """
        self._schedule = schedule
        self._grader = grader
        self._gold = [grader.parse(problem.response) for problem in problems]
        self._samples = self._tokens = self._ended = self._right = 0
        self._there = there
        self._start = time.monotonic()
        quiet = jax.process_index() > 0 or not sys.stderr.isatty()
        self._bar = tqdm(total=wanted, initial=there, unit=" paths", disable=quiet)
        asks = "" if budget is None else f"; budget={budget} asks for more as they come back"
        log.info("%d of %d paths to sample%s", wanted - there, wanted, asks)

    def move(self, wanted: int, made: int) -> None:
        """Moves the bar.

        Args:
            wanted: paths at the end, as far as is known: a budget decides on the way.
            made: paths since the start, by any worker, or found in journals.
        """
        self._bar.total = wanted
        self._bar.update(self._there + made - self._bar.n)

    def add(self, path: Path) -> None:
        """Counts a path that this worker sampled."""
        self._samples += 1
        self._tokens += path.tokens or 0
        self._ended += path.finish == "eos"
        answer, gold = self._grader.parse(path.response), self._gold[path.problem]
        self._right += answer is not None and gold is not None and self._grader.equal(answer, gold)
        if self._samples % 64 == 0:
            self._bar.set_postfix_str(self._told(), refresh=False)

    def _told(self) -> str:
        seconds = time.monotonic() - self._start
        return (
            f"{self._tokens / seconds:,.0f} tokens/s, occupancy {self._schedule.occupancy:.0%}, "
            f"ended {self._ended / max(1, self._samples):.0%}, right {self._right / max(1, self._samples):.1%}"
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()
        log.info("%d paths in %.0f s: %s", self._samples, time.monotonic() - self._start, self._told())
        if self._schedule.read_again:
            log.info(
                "%d tokens were read again, of samples that had to wait for room or go on from an earlier run",
                self._schedule.read_again,
            )
