"""What has been sampled: whole shards of problems × samples with checksums, and the settings they were made with.

A folder of paths holds:
- manifest.json: every setting that a path depends on, so that one folder is one sample, the size of a tile, and by
  which software and devices the first command was run.
- 00000-00007.000-049.jsonl: samples 0 to 49 of problems 0 to 7, ordered by problem and sample.
- 00000-00007.000-049.jsonl.sha256: its checksum, in the format of sha256sum, written first.
- claims: who does what at the moment (claims.py), and journals of it (journal.py); nothing when all is finished.
A *tile* is the unit of sharing: these problems × these samples, whatever k is. What is missing of a tile is made by one
worker, as one shard, or as several where a smaller k or other shards cut into it.
"""

import concurrent.futures
import contextlib
import itertools
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.hf import fingerprint
from rft_jax.provenance import FIELD
from rft_jax.records import checksum
from rft_jax.records.lines import dump
from rft_jax.records.path import Path
from rft_jax.records.shard import Shard

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
CLAIMS = "claims"  # folder within that of the paths
TILE = "tile"  # in the manifest: problems and samples per tile; the first command's, whatever k a later one has
SAMPLES_PER_TILE = 50
_MODEL = "model"  # in the manifest: its fingerprint
_THREADS = 8  # that read and hash shards
_TRIES, _WAIT_S = 4, 0.5  # to read a manifest, and how long to wait between


class Ledger:
    """The folder of paths of one run, and what is missing in it.

    Attributes:
        tiles: by name the tiles that lack paths, by problem and then by sample.
        wanted: paths at the end.
    """

    def __init__(
        self,
        folder: FilePath,
        settings: Mapping[str, object],
        *,
        problems: int,
        k: int,
        made_by: Callable[[], dict[str, Any]] = dict,
        agree: Callable[[Callable[[], Any]], Any] = lambda find: find(),
    ) -> None:
        """Opens or makes the folder.

        Args:
            folder: of the paths.
            settings: everything but k that a path depends on; JSON values.
            problems: how many there are.
            k: samples wanted per problem.
            made_by: returns what to tell of the software and devices; it may differ among the commands of a folder.
            agree: calls a function on the one process that changes the folder, and returns its result on all.

        Raises:
            UserError: the folder holds paths of other settings, or cannot be written.
        """
        self._folder, self._problems, self._k = folder, problems, k
        (height, width), there = agree(lambda: self._open(settings, made_by))
        self._size = (height, width)
        self._seen: set[str] = set()
        self._covered = np.zeros((problems, k), bool)
        starts = itertools.product(range(0, problems, height), range(0, k, width))
        tiles = [Shard((row, min(row + height, problems)), (column, column + width)) for row, column in starts]
        self.tiles = {tile.stem: tile for tile in tiles}
        self.wanted = problems * k
        self._add(there)

    @property
    def samples_per_problem(self) -> int:
        """How many samples of one problem a tile has at most."""
        return min(self._size[1], self._k)

    @property
    def done(self) -> int:
        """How many of the wanted paths are there."""
        return int(np.count_nonzero(self._covered))

    def missing(self, tile: Shard | None = None) -> list[Shard]:
        """Returns the shards to make: of a tile, or of all."""
        return [shard for each in ([tile] if tile else self.tiles.values()) for shard in self._gaps(each)]

    def look(self) -> Mapping[str, Shard]:
        """Notices shards that others made since the last look, and returns the tiles that lack paths.

        Raises:
            UserError: the folder cannot be read.
        """
        try:
            self._add(files.names(self._folder))
        except OSError as error:
            raise UserError(f"cannot read the folder {self._folder}: {error.strerror or error}") from error
        return self.tiles

    def write(self, shard: Shard, paths: list[Path]) -> None:
        """Writes a shard, whole or not at all; the checksum comes first, so that a shard that is there has one.

        Raises:
            UserError: the disk is full or not writable.
        """
        paths = sorted(paths, key=lambda path: (path.problem, path.sample))
        if [(path.problem, path.sample) for path in paths] != list(numbers(shard)):
            raise ValueError(f"{shard.name}: other paths than it should hold")
        content = b"".join(dump(path.to_fields()) for path in paths)
        file = self._folder / shard.name
        with files.whole_file(checksum.beside(file)) as temporary:
            temporary.write_text(checksum.line(content, shard.name), encoding="utf-8")
        with files.whole_file(file) as temporary:
            temporary.write_bytes(content)
        self._add([shard.name])

    def _open(
        self, settings: Mapping[str, object], made_by: Callable[[], dict[str, Any]]
    ) -> tuple[list[int], list[str]]:
        """Returns the size of a tile and the names of the shards that are there and as they were written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {self._folder}: {error.strerror}") from error
        return self._agree(settings, made_by), self._whole()

    def _agree(self, settings: Mapping[str, object], made_by: Callable[[], dict[str, Any]]) -> list[int]:
        """Writes the manifest, or compares with the one that is there; returns the size of a tile."""
        # Files of few samples hold more problems, or there would be as many files as problems.
        usual = [32 if self._k <= 8 else 8, SAMPLES_PER_TILE]
        file = self._folder / MANIFEST
        if not file.exists():
            told = {**settings, TILE: usual, FIELD: made_by()}
            content = json.dumps(told, indent=2) + "\n"
            files.create_file(file, content.encode())  # or a command of other settings was faster
        before = _read(file)
        before.pop(FIELD, None)
        size = before.pop(TILE, usual)
        if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
            raise UserError(f"{file}: {TILE} is {json.dumps(size)}, not problems and samples per tile")
        now = json.loads(json.dumps(settings))  # tuples become lists, as in the file
        different = [
            f"{name} was {json.dumps(before.get(name))}, now {json.dumps(now.get(name))}"
            for name in sorted({*before, *now})
            if not _agree(name, before.get(name), now.get(name))
        ]
        if different:
            raise UserError(
                f"{self._folder} holds paths of other settings: {'; '.join(different)}. "
                "Give the same settings, or another --workdir"
            )
        return size

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
        """Takes the names of files that are there; updates the tiles that they touch."""
        new = set(names) - self._seen
        self._seen |= new
        height, width = self._size
        for shard in filter(None, map(Shard.from_name, new)):
            (first, end), (low, high) = shard.problems, shard.samples
            end, high = min(end, self._problems), min(high, self._k)
            self._covered[first:end, low:high] = True
            for row in range(first - first % height, end, height):
                for column in range(low - low % width, high, width):
                    tile = Shard((row, min(row + height, self._problems)), (column, column + width))
                    if self._cells(tile).all():
                        self.tiles.pop(tile.stem, None)

    def _cells(self, tile: Shard) -> np.ndarray:
        """Returns which wanted paths of a tile are there: bool [problems, samples]."""
        return self._covered[slice(*tile.problems), slice(*tile.samples)]

    def _gaps(self, tile: Shard) -> Iterator[Shard]:
        """Yields what is missing of a tile, cut to rectangles: neighbours that lack the same samples are together."""
        cells = self._cells(tile)
        row, column = tile.problems[0], tile.samples[0]
        for _, same in itertools.groupby(range(len(cells)), key=lambda i: cells[i].tobytes()):
            rows = list(same)
            edges = np.flatnonzero(np.diff(~cells[rows[0]], prepend=False, append=False))  # in pairs: begin, end
            for low, high in edges.reshape(-1, 2).tolist():
                yield Shard((row + rows[0], row + rows[-1] + 1), (column + low, column + high))


def _agree(name: str, before: Any, now: Any) -> bool:
    if name == _MODEL and isinstance(before, str) and isinstance(now, str):
        return fingerprint.same(before, now)
    return bool(before == now)


def _read(manifest: FilePath) -> dict[str, Any]:
    """Returns the manifest's fields.

    Raises:
        UserError: it is no JSON object.
    """
    for _ in range(_TRIES):
        try:
            fields = json.loads(manifest.read_text(encoding="utf-8"))
            break
        except ValueError as error:
            wrong = error
            time.sleep(_WAIT_S)  # where there are no hard links, another command may be writing it now
    else:
        raise UserError(f"{manifest} is not JSON ({wrong}); move the folder away or give another --workdir")
    if not isinstance(fields, dict):
        raise UserError(f"{manifest} holds no JSON object; move the folder away or give another --workdir")
    return fields


def numbers(shard: Shard) -> Iterator[tuple[int, int]]:
    """Yields problem and sample of each path of a shard, in the order of its lines."""
    for problem in range(*shard.problems):
        for sample in range(*shard.samples):
            yield problem, sample
