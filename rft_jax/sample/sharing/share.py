"""The tiles that one worker has claimed: what is done of each, kept in a journal, and written when a shard is whole."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path as FilePath
from types import TracebackType
from typing import Any

import numpy as np

from rft_jax.errors import UserError
from rft_jax.records.path import Path
from rft_jax.records.shard import Shard
from rft_jax.sample.sharing import journal
from rft_jax.sample.sharing.claims import DEAD_S, Claims
from rft_jax.sample.sharing.ledger import Ledger, numbers

log = logging.getLogger(__name__)

JOURNAL_S = 60.0  # between two journals
# A sample that goes on from its tokens may differ in rounding from one that was not interrupted, and so, now and then,
# in a token. So only those are kept that would lose more than this if they were begun anew.
RESUME_S = 60.0
LOOK_S, MOST_LOOK_S = 3.0, 30.0  # between two looks for work where there was none: twice as long each time

Unfinished = Callable[[], Iterable[tuple[int, int, np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class _Part:
    """A shard that is being made.

    Attributes:
        tile: name of the tile that it is of.
        shard: to be written.
        paths: what it has so far.
    """

    tile: str
    shard: Shard
    paths: list[Path]


class Share:
    """What this worker has claimed.

    Attributes:
        by_others: paths that others made: since the start, as of the last look, or found in journals.
        pause: seconds until it looks for work again; many workers that wait must not keep a file system busy.
    """

    def __init__(
        self,
        ledger: Ledger,
        claims: Claims,
        folder: FilePath,
        *,
        unfinished: Unfinished = lambda: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts with nothing claimed.

        Args:
            ledger: of the folder of paths.
            claims: of this worker.
            folder: of the journals.
            unfinished: returns problem, sample and int32 [tokens] of each sample that is being decoded.
            clock: in seconds; never goes back.
        """
        self._ledger, self._claims, self._folder = ledger, claims, folder
        self._unfinished, self._clock = unfinished, clock
        self._parts: dict[str, list[_Part]] = {}  # of each tile that is claimed: what is not written
        self._part_of: dict[tuple[int, int], _Part] = {}  # of each path that is not there: problem and sample
        self._next_look = -float("inf")
        self._last_keep = clock()
        self._next_journal = clock() + JOURNAL_S
        self._running: dict[tuple[int, int], float] = {}  # since when each sample runs, as the journals saw it
        self._there = ledger.done
        self._written = self._found = 0
        self._waits = False
        self.by_others = 0
        self.pause = LOOK_S

    def claim(self) -> dict[str, Any] | None:
        """Claims a tile, unless others have all that is left, or this worker its fair share.

        Returns:
            JSON values: as `jobs` problem and samples of what is to be sampled, by problem; as `begun` problem, sample
            and token ids of those that a journal has the beginnings of.

        Raises:
            UserError: the folder cannot be written, or this worker failed to give signs of life.
        """
        self.keep()
        if self._clock() < self._next_look:
            return None
        while (name := self._claims.take(self._ledger.look)) is not None:
            self._look()
            self._parts[name] = [_Part(name, shard, []) for shard in self._ledger.missing(self._ledger.tiles[name])]
            wanted = {cell: part for part in self._parts[name] for cell in numbers(part.shard)}
            self._part_of |= wanted
            paths, begun = journal.read(self._journal(name))
            if paths or begun:
                log.info("%s: a journal has %d paths of it and the beginnings of %d", name, len(paths), len(begun))
            self._found += sum((path.problem, path.sample) in wanted for path in paths)
            for path in paths:
                self.add(path)
            jobs: dict[int, list[int]] = {}
            for problem, sample in sorted(wanted.keys() & self._part_of.keys()):
                jobs.setdefault(problem, []).append(sample)
            if jobs:
                self._next_look = -float("inf")
                beginnings = [[*cell, tokens] for cell, tokens in begun.items() if cell in self._part_of]
                return {"jobs": list(jobs.items()), "begun": beginnings}
        self.pause = LOOK_S if self._next_look < 0 else min(2 * self.pause, MOST_LOOK_S)
        self._next_look = self._clock() + self.pause
        return None

    def add(self, path: Path) -> None:
        """Takes a path, and writes its shard if that is whole now. Leaves out those that it has or need not have.

        Raises:
            UserError: the disk is full or not writable.
        """
        part = self._part_of.pop((path.problem, path.sample), None)
        if part is None:  # another worker took the tile over
            return
        part.paths.append(path)
        if len(part.paths) < part.shard.size:
            return
        self._drop_lost()
        if part.tile not in self._parts:
            return
        self._ledger.write(part.shard, part.paths)
        self._written += part.shard.size
        self._parts[part.tile].remove(part)
        if not self._parts[part.tile]:
            del self._parts[part.tile]
            with contextlib.suppress(OSError):
                self._journal(part.tile).unlink()
            self._claims.release(part.tile)

    def keep(self) -> None:
        """Writes the journals if it is time. Call it often.

        Raises:
            UserError: the disk is full or not writable, or this worker failed to give signs of life.
        """
        self._claims.check()
        now = self._clock()
        if now - self._last_keep > DEAD_S / 2:  # this worker may have been taken for dead
            self._drop_lost()
        self._last_keep = now
        if now < self._next_journal:
            return
        self._next_journal = now + JOURNAL_S
        self._drop_lost()
        begun: dict[str, list[tuple[int, int, np.ndarray]]] = {}
        running: dict[tuple[int, int], float] = {}
        for problem, sample, tokens in self._unfinished():
            since = running[problem, sample] = self._running.get((problem, sample), now)
            part = self._part_of.get((problem, sample))
            if part is not None and now - since >= RESUME_S:
                begun.setdefault(part.tile, []).append((problem, sample, tokens))
        self._running = running
        for name, parts in self._parts.items():
            paths = [path for part in parts for path in part.paths]
            if paths or name in begun:
                journal.write(self._journal(name), paths, begun.get(name, []))

    def __enter__(self) -> "Share":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Writes the journals, so that an error or an interrupt loses nothing."""
        self._next_journal = -float("inf")
        with contextlib.suppress(UserError):  # what ended the run says more
            self.keep()

    def complete(self) -> bool:
        """Tells whether every path is there."""
        left = self._ledger.look()
        self._look()
        if left and not self._waits:
            log.info("waits for other workers, who have claimed all that is left: %d tiles", len(left))
        self._waits = bool(left)
        return not left

    def _look(self) -> None:
        self.by_others = self._ledger.done - self._there - self._written + self._found

    def _drop_lost(self) -> None:
        for name in self._claims.lost():
            log.warning("%s was taken over by another worker, as this one was silent for too long", name)
            for part in self._parts.pop(name):
                for cell in numbers(part.shard):
                    self._part_of.pop(cell, None)

    def _journal(self, name: str) -> FilePath:
        return self._folder / f"{name}.journal"
