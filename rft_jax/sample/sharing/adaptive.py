"""What a budget's policy asks for, in tiles that are the same for all workers, whatever they have sampled.

Of a policy that decides on each problem alone, a tile is a block of problems: whoever claims it samples each of them
until it is decided. Of a policy with a total, a tile is a part of a round. What is decided comes from whole shards
alone, so that all workers decide alike, though a path that two of them sampled may differ in rounding.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rft_jax.budget.decisions import Decisions, Wanted
from rft_jax.budget.outcome import Grading
from rft_jax.budget.policies import Policy, Tokens
from rft_jax.records.path import Path
from rft_jax.sample.sharing.work import Asked, Fixed, Number

log = logging.getLogger(__name__)

_KEPT = 1.05  # of a total: the last round is planned by expected lengths
_BLOCK = 16  # problems of a tile, of which each is sampled until it is decided
_PATHS = 256  # of a tile in a round, at least: the last rounds ask for few of many problems, and a file takes time


class _Place(NamedTuple):
    """What a tile is.

    Attributes:
        round: its number; None: problems are decided one by one.
        problems: their numbers, ascending.
    """

    round: int | None
    problems: Sequence[int]


class Adaptive:
    """The tiles of a policy, as far as the paths that are there have decided.

    Attributes:
        tiles: the names of those that lack paths, of earlier rounds first.
        decisions: by what is there.
    """

    def __init__(self, policy: Policy, grading: Grading, problems: int) -> None:
        """Starts with everything missing.

        Args:
            policy: that decides.
            grading: of the paths.
            problems: how many there are.

        Raises:
            UserError: the policy's total is too small for so many problems.
        """
        self.policy, self._grading, self._problems = policy, grading, problems
        self.decisions = Decisions(policy, problems)
        self.tiles: dict[str, None] = {}
        self._places: dict[str, _Place] = {}
        self._rounds = 0  # that have their tiles
        if not self.decisions.rounds:
            for first in range(0, problems, _BLOCK):
                block = range(first, min(first + _BLOCK, problems))
                self._add(f"{block[0]:05}-{block[-1]:05}.budget", _Place(None, block))
        self._plan()

    @property
    def wanted(self) -> np.ndarray:
        """How many samples of each problem are wanted, as far as is decided: int [problems]."""
        return np.array(self.decisions.wanted)

    def note(self, problems: range, covered: np.ndarray, paths: Iterable[Path]) -> None:
        """Decides by the paths of a shard that is there."""
        for path in paths:
            if path.problem < self._problems and path.sample < self.policy.k:
                self.decisions.put(path.problem, path.sample, self._grading.outcome(path))
        new, touched = set(self._plan()), set(problems)
        for name in list(self.tiles):
            may_be_whole = name in new or not touched.isdisjoint(self._places[name].problems)
            if may_be_whole and not self._missing(name, covered):
                del self.tiles[name]

    def ask(self, name: str, covered: np.ndarray, read: Callable[[range], Iterable[Path]]) -> Asked:
        """Returns what a tile asks for."""
        place = self._places[name]
        if place.round is not None:
            return Fixed(self._missing(name, covered))
        block = range(place.problems[0], place.problems[-1] + 1)
        there = [path for path in read(block) if path.sample < self.policy.k]
        return Growing(self.policy, self._grading, block, there)

    def decided(self) -> dict[str, Any]:
        """Returns the decisions, when all is there, and warns of a total that was not kept; JSON values."""
        spent, policy = self.decisions.spent, self.policy
        if isinstance(policy, Tokens) and spent is not None and spent > _KEPT * policy.total:
            log.warning(
                "budget=%s: %s tokens were sampled: the first %d samples of each problem come whatever they take; for "
                "so small a total give a smaller first pass, as in tokens=%d:first=1",
                policy.text, f"{spent:,}", policy.first, policy.total,
            )  # fmt: skip
        found = {"policy": self.policy.text, "k": self.policy.k, "grader": self._grading.grader}
        rounds = {"rounds": self.decisions.rounds, "tokens": spent} if self.decisions.rounds else {}
        return found | {"samples": list(self.decisions.wanted)} | rounds

    def _plan(self) -> list[str]:
        """Makes the tiles of rounds that are planned now, and returns their names."""
        made: list[str] = []
        for number in range(self._rounds, len(self.decisions.rounds)):
            block, paths, count = [], 0, 0
            for problem in range(self._problems):
                before, after = self._span(number, problem)
                if after > before:
                    block.append(problem)
                    paths += after - before
                if block and (paths >= _PATHS or problem == self._problems - 1):
                    name = f"round-{number:03}.{count:05}"
                    self._add(name, _Place(number, block))
                    made.append(name)
                    block, paths, count = [], 0, count + 1
        self._rounds = len(self.decisions.rounds)
        return made

    def _add(self, name: str, place: _Place) -> None:
        self._places[name] = place
        self.tiles[name] = None

    def _span(self, number: int | None, problem: int) -> tuple[int, int]:
        """Returns the first sample, and one past the last, that a problem gets in a round, or in all."""
        if number is None:
            return 0, self.decisions.wanted[problem]
        rounds = self.decisions.rounds
        return (rounds[number - 1][problem] if number else 0), rounds[number][problem]

    def _missing(self, name: str, covered: np.ndarray) -> list[Number]:
        """Returns the paths that a tile lacks, as far as is decided."""
        place = self._places[name]
        return [
            (problem, sample)
            for problem in place.problems
            for sample in range(*self._span(place.round, problem))
            if not covered[problem, sample]
        ]


class Growing:
    """A block of problems, each sampled until it is decided."""

    def __init__(self, policy: Policy, grading: Grading, block: range, there: Iterable[Path]) -> None:
        """Starts with what is there.

        Args:
            policy: that decides on each problem alone.
            grading: of the paths.
            block: the problems.
            there: paths of them that need not be sampled.
        """
        self._grading, self._block = grading, block
        self._decisions = Decisions(policy, len(block))
        self._asked = self._numbers(self._decisions.start())
        self._there = {(path.problem, path.sample) for path in there}
        self._came = [0] * len(block)  # paths of each problem
        self._given = list(self._decisions.wanted)  # samples of each problem that were asked for, or given ahead
        for path in there:
            self._asked += self._put(path)

    def start(self) -> list[Number]:
        """Returns the paths to sample first."""
        return sorted(set(self._asked) - self._there)

    def put(self, path: Path) -> list[Number]:
        """Takes note of one of them; returns those to sample on top."""
        return [number for number in self._put(path) if number not in self._there]

    def ahead(self, most: int) -> list[Number]:
        """Returns paths that a problem may ask for later: as many at most as have come of it, so none of an easy one.

        A hard problem asks for few at a time. So its last sample would come after as many responses in a row as it has
        samples over these few; this way after their logarithm (BUILD.md, "Budgets").
        """
        found: list[Number] = []
        for number in sorted(range(len(self._block)), key=lambda number: self._given[number]):
            wanted, k = self._decisions.wanted[number], self._decisions.policy.k
            if wanted <= self._came[number]:
                continue  # decided, or about to be
            end = min(k, wanted + self._came[number], self._given[number] + most - len(found))
            found += [(self._block[number], sample) for sample in range(self._given[number], end)]
            self._given[number] = max(self._given[number], end)
        return [number for number in found if number not in self._there]

    def _put(self, path: Path) -> list[Number]:
        number, outcome = path.problem - self._block.start, self._grading.outcome(path)
        on_top = self._numbers(self._decisions.put(number, path.sample, outcome))
        self._came[number] += 1
        self._given[number] = max(self._given[number], self._decisions.wanted[number])
        return on_top

    def _numbers(self, wanted: Wanted) -> list[Number]:
        return [(self._block[problem], sample) for problem, samples in wanted for sample in samples]
