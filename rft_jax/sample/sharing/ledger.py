"""What has been sampled: whole shards of problems and samples with checksums, and the settings they were made with.

A folder of paths holds:
- manifest.json: every setting that a path depends on, so that one folder is one sample, the size of a tile, and by
  which software and devices the first command was run; and the budgets, where they are not the same for all problems.
- 00000-00007.000-049.jsonl: samples 0 to 49 of problems 0 to 7, ordered by problem and sample.
- 00000-00015.some-0123456789ab.jsonl: some samples of some of problems 0 to 15, as a budget asks for.
- 00000-00007.000-049.jsonl.sha256: its checksum, in the format of sha256sum, written first.
- budget.json: the decisions of a budget, when all is finished.
- claims: who does what at the moment (claims.py), and journals of it (journal.py); nothing when all is finished.
A *tile* is the unit of sharing (work.py). What is missing of a tile is made by one worker, as one shard.
"""

import concurrent.futures
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from rft_jax import files
from rft_jax.config import UNIFORM
from rft_jax.errors import UserError
from rft_jax.records import checksum, manifest
from rft_jax.records.lines import dump
from rft_jax.records.manifest import ALWAYS, POLICIES
from rft_jax.records.path import Path, read_paths
from rft_jax.records.shard import Shard
from rft_jax.sample.sharing.adaptive import Adaptive
from rft_jax.sample.sharing.terms import Terms
from rft_jax.sample.sharing.work import Asked, Tiles, Uniform, Work, count

log = logging.getLogger(__name__)

CLAIMS = "claims"  # folder within that of the paths
DECISIONS = "budget.json"
SAMPLES_PER_TILE = 50
_THREADS = 8  # that read and hash shards


class Ledger:
    """The folder of paths of one run, and what is missing in it."""

    def __init__(
        self,
        folder: FilePath,
        settings: Mapping[str, object],
        *,
        problems: int,
        k: int,
        made_by: Callable[[], dict[str, Any]] = dict,
        adaptive: Adaptive | None = None,
    ) -> None:
        """Opens or makes the folder.

        Args:
            folder: of the paths.
            settings: everything but k and the budget that a path depends on; JSON values.
            problems: how many there are.
            k: samples wanted per problem, at most.
            made_by: returns what to tell of the software and devices; it may differ among the commands of a folder.
            adaptive: the work of a budget; None: k samples of each problem.

        Raises:
            UserError: the folder holds paths of other settings, or cannot be written.
        """
        self._folder, self._problems, self._k, self._adaptive = folder, problems, k, adaptive
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error
        self._terms = Terms(folder, settings, usual_tile=_usual_tile(k), made_by=made_by)
        self._work: Work = adaptive or Uniform(problems, k, self._terms.tile)
        self._shards: list[Shard] = []
        self._seen: set[str] = set()
        self._covered = np.zeros((problems, k), bool)
        self._add(self._whole())
        self._extend(self._terms.budget())

    @property
    def tiles(self) -> Tiles:
        """The names of the tiles that lack paths, what is to be done first first."""
        return self._work.tiles

    @property
    def wanted(self) -> int:
        """How many paths there are at the end, as far as is decided."""
        return int(self._work.wanted.sum())

    @property
    def done(self) -> int:
        """How many of the wanted paths are there."""
        return count(self._work.wanted, self._covered)

    @property
    def most_left(self) -> int:
        """How many paths may be left to sample."""
        return int(np.count_nonzero(~self._covered)) if self.tiles else 0

    def ask(self, tile: str) -> Asked:
        """Returns what a tile asks for that lacks paths."""
        return self._work.ask(tile, self._covered, self._read)

    def look(self) -> Tiles:
        """Notices shards that others made since the last look, and returns the tiles that lack paths.

        Raises:
            UserError: the folder cannot be read.
        """
        try:
            self._add(files.names(self._folder))
        except OSError as error:
            raise UserError(f"cannot read the folder {self._folder}: {error.strerror or error}") from error
        return self.tiles

    def write(self, paths: Iterable[Path]) -> int:
        """Writes paths as a shard, whole or not at all, and returns how many; what is there is left out.

        The checksum comes first, so that a shard that is there has one.

        Raises:
            UserError: the disk is full or not writable.
        """
        self.look()  # a worker that was taken for dead, and its heir, may have sampled the same
        kept = {(path.problem, path.sample): path for path in paths if not self._covered[path.problem, path.sample]}
        if not kept:
            return 0
        shard, those = Shard.of(kept), [kept[number] for number in sorted(kept)]
        content = b"".join(dump(path.to_fields()) for path in those)
        file = self._folder / shard.name
        with files.whole_file(checksum.beside(file)) as temporary:
            temporary.write_text(checksum.line(content, shard.name), encoding="utf-8")
        with files.whole_file(file) as temporary:
            temporary.write_bytes(content)
        self._note(shard, those)
        return len(those)

    def finish(self) -> None:
        """Writes down what a budget has decided, when all is there; of any number of workers each writes the same.

        Raises:
            UserError: the disk is full or not writable.
        """
        if self._adaptive is not None:
            with files.whole_file(self._folder / DECISIONS) as temporary:
                temporary.write_bytes(dump(self._adaptive.decided()))
        if (told := self._terms.budget()) is not None:
            always = self._adaptive.policy.always if self._adaptive else self._k
            self._terms.record(manifest.of_budget(told[POLICIES], max(always, told[ALWAYS])))

    def _extend(self, there: dict[str, Any] | None) -> None:
        """Records the budget, if there is one now or was one before: what is there of other ones stays.

        Args:
            there: what the manifest has of budgets.
        """
        if self._adaptive is None and there is None:
            return
        now = f"{self._adaptive.policy.text if self._adaptive else UNIFORM} of {self._k}"
        if there is None:  # what of a uniform run is there came in an order of its own, whatever it was
            always = int(self._covered.cumprod(axis=1).sum(axis=1).min()) if self._shards else 0
            there = manifest.of_budget([UNIFORM] if self._shards else [], always)
        if now not in there[POLICIES]:
            if there[POLICIES]:
                log.info("%s has paths of budget=%s; goes on with %s", self._folder, ", ".join(there[POLICIES]), now)
            self._terms.record(manifest.of_budget([*there[POLICIES], now], there[ALWAYS]))

    def _whole(self) -> list[str]:
        """Returns the names of the shards that are there and as they were written; sets the others aside."""
        names = sorted(name for name in files.names(self._folder) if Shard.from_name(name))
        with concurrent.futures.ThreadPoolExecutor(_THREADS, "checksum") as pool:
            whole = list(pool.map(self._is_whole, names))
        return list(itertools.compress(names, whole))

    def _is_whole(self, name: str) -> bool:
        file = self._folder / name
        try:
            content = file.read_bytes()
            told = checksum.beside(file).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            content, told = b"", ""
        if told == checksum.line(content, name):
            return True
        log.warning("%s does not match its checksum: set aside as .corrupt, its paths are sampled anew", file)
        with contextlib.suppress(FileNotFoundError):  # another command in this folder was faster
            file.replace(file.with_name(f"{name}.corrupt"))
        return False

    def _add(self, names: Iterable[str]) -> None:
        """Takes the names of files that are there."""
        for name in sorted(set(names) - self._seen):
            self._seen.add(name)
            if (shard := Shard.from_name(name)) is not None:
                self._note(shard, read_paths(self._folder / name, self._problems))

    def _note(self, shard: Shard, paths: Iterable[Path]) -> None:
        self._seen.add(shard.name)
        self._shards.append(shard)
        if shard.samples is not None:
            self._covered[slice(*shard.problems), slice(*shard.samples)] = True
        else:
            paths = list(paths)
            for path in paths:
                self._covered[path.problem, path.sample : path.sample + 1] = True
        self._work.note(range(*shard.problems), self._covered, paths)

    def _read(self, problems: range) -> Iterator[Path]:
        """Yields the paths of some problems."""
        for shard in self._shards:
            if shard.problems[0] < problems.stop and problems.start < shard.problems[1]:
                for path in read_paths(self._folder / shard.name, self._problems):
                    if path.problem in problems:
                        yield path


def _usual_tile(k: int) -> tuple[int, int]:
    # Files of few samples hold more problems, or there would be as many files as problems.
    return 32 if k <= 8 else 8, SAMPLES_PER_TILE
