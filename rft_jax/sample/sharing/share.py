"""The tiles that one worker has claimed: what is done of each, kept in a journal, and written when a shard is whole."""

import collections
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
from rft_jax.sample.sharing import journal
from rft_jax.sample.sharing.claims import DEAD_S, Claims
from rft_jax.sample.sharing.ledger import Ledger
from rft_jax.sample.sharing.work import Asked, Number

log = logging.getLogger(__name__)

JOURNAL_S = 60.0  # between two journals
# A sample that goes on from its tokens may differ in rounding from one that was not interrupted, and so, now and then,
# in a token. So only those are kept that would lose more than this if they were begun anew.
RESUME_S = 60.0
_AHEAD = 16  # paths at a time that may not be needed
LOOK_S, MOST_LOOK_S = 3.0, 30.0  # between two looks for work where there was none: twice as long each time

Unfinished = Callable[[], Iterable[tuple[int, int, np.ndarray]]]


@dataclasses.dataclass
class _Tile:
    """A tile that this worker has claimed.

    Attributes:
        asked: what it asks for.
        known: paths that it has not asked for: of a journal, or sampled ahead.
        paths: those that it has asked for, so far.
        missing: how many more it has asked for.
    """

    asked: Asked
    known: dict[Number, Path]
    paths: list[Path] = dataclasses.field(default_factory=list)
    missing: int = 0


class Share:
    """What this worker has claimed.

    Attributes:
        by_others: paths that others made: since the start, as of the last look, or found in journals; and those that
            this worker had sampled before they were asked for.
        made: paths that this worker made and that were asked for.
        wanted: paths at the end, as far as was decided at the last look.
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
        self._tiles: dict[str, _Tile] = {}  # that are claimed
        self._tile_of: dict[Number, str] = {}  # of each path that is asked for and not there
        self._on_top: list[Number] = []  # asked for by what came of others; no job yet
        self._ahead: dict[Number, str] = {}  # tile of each path that is being sampled though it is not asked for yet
        self._next_look = -float("inf")
        self._last_keep = clock()
        self._next_journal = clock() + JOURNAL_S
        self._running: dict[tuple[int, int], float] = {}  # since when each sample runs, as the journals saw it
        self._there = ledger.done
        self._written = self._found = 0
        self._waits = False
        self.by_others, self.made, self.wanted = 0, 0, ledger.wanted
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
        if self._on_top:
            numbers, self._on_top = self._on_top, []
            return {"jobs": _jobs(numbers), "begun": []}
        if self._clock() >= self._next_look and (claimed := self._take()) is not None:
            return claimed
        for name, tile in self._tiles.items():  # the first claimed first
            if numbers := tile.asked.ahead(_AHEAD):
                self._ahead |= dict.fromkeys(numbers, name)
                return {"jobs": _jobs(numbers), "begun": []}
        return None

    def _take(self) -> dict[str, Any] | None:
        while (name := self._claims.take(self._ledger.look)) is not None:
            self._look()
            paths, begun = journal.read(self._journal(name))
            if paths or begun:
                log.info("%s: a journal has %d paths of it and the beginnings of %d", name, len(paths), len(begun))
            tile = _Tile(self._ledger.ask(name), {(path.problem, path.sample): path for path in paths})
            self._tiles[name] = tile
            if numbers := self._ask(name, tile.asked.start()):
                self._next_look = -float("inf")
                beginnings = [[*number, tokens] for number, tokens in begun.items() if number in self._tile_of]
                return {"jobs": _jobs(numbers), "begun": beginnings}
            if self._close(name) and name in self._ledger.tiles:
                raise AssertionError(f"{name} asks for nothing, and is not whole")  # it would be claimed for ever
        self.pause = LOOK_S if self._next_look < 0 else min(2 * self.pause, MOST_LOOK_S)
        self._next_look = self._clock() + self.pause
        return None

    def add(self, path: Path) -> None:
        """Takes a path, and writes its tile if that is whole now. Leaves out those that it has or need not have.

        Raises:
            UserError: the disk is full or not writable.
        """
        number = path.problem, path.sample
        if (name := self._ahead.pop(number, None)) is not None:
            self._tiles[name].known[number] = path
            return
        if (name := self._tile_of.pop(number, None)) is None:  # another worker took the tile over
            return
        self.made += 1
        tile = self._tiles[name]
        tile.missing -= 1
        tile.paths.append(path)
        self._on_top += self._ask(name, tile.asked.put(path))
        if not tile.missing:
            self._close(name)

    def _ask(self, name: str, numbers: list[Number]) -> list[Number]:
        """Takes what a tile asks for from what is known; returns what has to be sampled."""
        tile, missing, queue = self._tiles[name], [], collections.deque(numbers)
        while queue:
            number = queue.popleft()
            if number in tile.known:
                self._found += 1
                tile.paths.append(path := tile.known.pop(number))
                queue += tile.asked.put(path)
                continue
            tile.missing += 1
            self._tile_of[number] = name
            if self._ahead.pop(number, None) is None:
                missing.append(number)
        return missing

    def _close(self, name: str) -> bool:
        """Writes a tile that is whole; returns False where another worker took it over."""
        self._drop_lost()
        if name not in self._tiles:
            return False
        self._written += self._ledger.write(self._tiles.pop(name).paths)
        self._next_look = -float("inf")  # what was decided by it may ask for more
        self._ahead = {number: tile for number, tile in self._ahead.items() if tile != name}
        with contextlib.suppress(OSError):
            self._journal(name).unlink()
        self._claims.release(name)
        return True

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
            name = self._tile_of.get((problem, sample))
            if name is not None and now - since >= RESUME_S:
                begun.setdefault(name, []).append((problem, sample, tokens))
        self._running = running
        for name, tile in self._tiles.items():
            paths = [*tile.paths, *tile.known.values()]
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
        if not left:
            self._ledger.finish()
        return not left

    def _look(self) -> None:
        self.wanted = self._ledger.wanted
        self.by_others = self._ledger.done - self._there - self._written + self._found

    def _drop_lost(self) -> None:
        for lost in self._claims.lost():
            log.warning("%s was taken over by another worker, as this one was silent for too long", lost)
            del self._tiles[lost]
            self._tile_of = {number: name for number, name in self._tile_of.items() if name != lost}
            self._ahead = {number: name for number, name in self._ahead.items() if name != lost}
            self._on_top = [number for number in self._on_top if number in self._tile_of]

    def _journal(self, name: str) -> FilePath:
        return self._folder / f"{name}.journal"


def _jobs(numbers: list[Number]) -> list[tuple[int, list[int]]]:
    """Returns problems and their samples, ascending."""
    jobs: dict[int, list[int]] = {}
    for problem, sample in sorted(numbers):
        jobs.setdefault(problem, []).append(sample)
    return list(jobs.items())
