"""What was found of each problem, among however many samples it has."""

import dataclasses
from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from rft_jax.budget.outcome import Grading
from rft_jax.errors import UserError
from rft_jax.records.path import Path

Counts = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """Counts by problem, each int64 [problems].

    Attributes:
        tokens: of all paths.
        right: how many are right.
        distinct: distinct right paths.
    """

    tokens: Counts
    right: Counts
    distinct: Counts


def tally(paths: Iterable[Path], grading: Grading, problems: int) -> Tally:
    """Returns the counts over paths.

    Args:
        paths: of one model.
        grading: of the paths.
        problems: how many there are.

    Raises:
        UserError: a path does not tell how many tokens it has.
    """
    tokens, right = (np.zeros(problems, np.int64) for _ in range(2))
    keys: list[set[Hashable]] = [set() for _ in range(problems)]
    for path in paths:
        try:
            outcome = grading.outcome(path)
        except ValueError as error:
            raise UserError(f"{error}: what it took cannot be told") from None
        tokens[path.problem] += outcome.tokens
        right[path.problem] += outcome.right
        if outcome.key is not None:
            keys[path.problem].add(outcome.key)
    return Tally(tokens, right, np.array([len(each) for each in keys], np.int64))
