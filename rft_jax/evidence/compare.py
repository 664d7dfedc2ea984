"""Two models on the same problems, over any number of seeds."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from rft_jax.evidence import crossed, score
from rft_jax.evidence.crossed import Array
from rft_jax.evidence.intervals import Estimate, alone, effective, numbered


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A second model compared with a first, on the same problems.

    Attributes:
        difference: accuracy of the second minus the first.
        only_first, only_second: number of problems, over all seeds, that only one of them solves.
        p: two-sided, of the hypothesis that they are equally good; below 0.05 where the interval excludes 0.
    """

    difference: Estimate
    only_first: int
    only_second: int
    p: float


def compare(first: ArrayLike, second: ArrayLike, clusters: Sequence[str] | None = None) -> Comparison:
    """Compares two models seed by seed and problem by problem.

    The interval is Tango's for a paired difference, at the sample's effective size. With several seeds that is by the
    crossed model, in which both seeds and problems are random; with one seed it is the number of problems, and the
    interval says nothing on the luck of that seed.

    Args:
        first, second: (n,) or (S, n), whether the model of a seed solves a problem; one that all seeds share has one
            row.
        clusters: (n,), the cluster of each problem.

    Raises:
        ValueError: they were not asked the same problems, or have different numbers of seeds.
    """
    one, other = (np.atleast_2d(np.asarray(right, bool)) for right in (first, second))
    if one.shape[1] != other.shape[1] or one.shape[1] == 0:
        raise ValueError(f"{one.shape[1]} problems on one side and {other.shape[1]} on the other")
    if one.shape[0] != other.shape[0] and 1 not in (one.shape[0], other.shape[0]):
        raise ValueError(f"{one.shape[0]} seeds on one side and {other.shape[0]} on the other")
    values = other.astype(np.float64) - one
    mean, low, high, p = (float(each) for each in differences(values, numbered(clusters)))
    return Comparison(Estimate(mean, low, high), int((values < 0).sum()), int((values > 0).sum()), p)


def differences(values: Array, clusters: NDArray[np.int64] | None = None) -> tuple[Array, Array, Array, Array]:
    """Returns means, ends of intervals and p-values, as `compare`, of differences (…, S, n), each -1, 0 or 1."""
    count = values.shape[-1]
    mean, differing = values.mean((-1, -2)), np.abs(values).mean((-1, -2))
    if alone(count, clusters):
        return mean, np.full_like(mean, -1), np.ones_like(mean), np.ones_like(mean)
    if values.shape[-2] == 1 and clusters is None:
        spread, size, quantile = None, np.full_like(mean, count), np.full_like(mean, score.NORMAL_95)
    else:
        spread = crossed.spread(values, clusters)
        size, quantile = effective(differing - np.square(mean), spread)
    more, fewer = (differing + mean) / 2 * size, (differing - mean) / 2 * size
    low, high = score.tango(more, fewer, size, quantile)
    at_zero = np.abs(score.statistic(more, fewer, size, 0.0))
    p = 2 * special.ndtr(-at_zero) if spread is None else spread.p_value(at_zero)
    return mean, np.minimum(low, mean), np.maximum(high, mean), p
