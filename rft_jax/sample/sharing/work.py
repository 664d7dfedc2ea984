"""What is to be sampled, in tiles: what a ledger needs to know of a budget, and the same number for every problem."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np

from rft_jax.records.path import Path
from rft_jax.records.shard import Shard

Number = tuple[int, int]  # of a path: problem and sample
Tiles = Mapping[str, None]  # names, what is to be done first first


class Asked(Protocol):
    """What a worker that has claimed a tile is asked for."""

    def start(self) -> list[Number]:
        """Returns the paths to sample; ascending for each problem."""

    def put(self, path: Path) -> list[Number]:
        """Takes note of one of them; returns those to sample on top."""

    def ahead(self, most: int) -> list[Number]:
        """Returns so many paths at most that may be asked for later, each once: for rows that have nothing to do."""


class Work(Protocol):
    """What is to be sampled.

    Attributes:
        tiles: the names of the tiles that lack paths, what is to be done first first.
    """

    tiles: dict[str, None]

    @property
    def wanted(self) -> np.ndarray:
        """How many samples of each problem are wanted, as far as is known: int [problems]."""

    def note(self, problems: range, covered: np.ndarray, paths: Iterable[Path]) -> None:
        """Takes note of a shard that is there.

        Args:
            problems: some of which it has paths of.
            covered: bool [problems, k], what is there, this shard included.
            paths: of the shard; they may be read when they are asked for.
        """

    def ask(self, name: str, covered: np.ndarray, read: Callable[[range], Iterable[Path]]) -> Asked:
        """Returns what a tile asks for.

        Args:
            name: of a tile that lacks paths.
            covered: bool [problems, k], what is there.
            read: returns all paths that are there of some problems.
        """


class Fixed:
    """Paths that are to be sampled, whatever comes of them."""

    def __init__(self, numbers: list[Number]) -> None:
        self._numbers = numbers

    def start(self) -> list[Number]:
        """Returns all of them."""
        return self._numbers

    def put(self, path: Path) -> list[Number]:
        """Returns nothing."""
        del path
        return []

    def ahead(self, most: int) -> list[Number]:
        """Returns nothing."""
        del most
        return []


class Uniform:
    """So many samples of every problem.

    A tile is the same problems and samples whatever k is, as commands of another k may share the folder.
    """

    def __init__(self, problems: int, k: int, size: tuple[int, int]) -> None:
        """Starts with everything missing.

        Args:
            problems: how many there are.
            k: samples of each.
            size: of a tile: problems and samples.
        """
        self._size, self._wanted = size, np.full(problems, k)
        height, width = size
        starts = itertools.product(range(0, problems, height), range(0, k, width))
        self._places = {self._name(row, column): (row, column) for row, column in starts}
        self.tiles: dict[str, None] = dict.fromkeys(self._places)

    @property
    def wanted(self) -> np.ndarray:
        """How many samples of each problem are wanted: int [problems]."""
        return self._wanted

    def note(self, problems: range, covered: np.ndarray, paths: Iterable[Path]) -> None:
        """Forgets the tiles that the shard completes."""
        del paths
        height, width = self._size
        for row in range(problems.start - problems.start % height, min(problems.stop, len(covered)), height):
            for column in range(0, covered.shape[1], width):
                if covered[row : row + height, column : column + width].all():
                    self.tiles.pop(self._name(row, column), None)

    def ask(self, name: str, covered: np.ndarray, read: Callable[[range], Iterable[Path]]) -> Fixed:
        """Returns the paths that a tile lacks."""
        del read
        (row, column), (height, width) = self._places[name], self._size
        missing = np.argwhere(~covered[row : row + height, column : column + width])
        return Fixed([(row + problem, column + sample) for problem, sample in missing.tolist()])

    def _name(self, row: int, column: int) -> str:
        height, width = self._size
        end = min(row + height, len(self._wanted))
        return Shard((row, end), (column, column + width)).stem


def count(wanted: np.ndarray, covered: np.ndarray) -> int:
    """Returns how many of the wanted paths are there."""
    return int(np.count_nonzero(covered & (np.arange(covered.shape[1]) < wanted[:, None])))
