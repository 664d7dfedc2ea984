"""Means over problems, or over seeds and problems, with their 95 % intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rft_jax.evidence import crossed, score
from rft_jax.evidence.crossed import Array

_CAUTION = 0.1  # of a problem or cluster; by simulation, BUILD.md, "Evidence"
FEW_CLUSTERS = 10  # with fewer, an interval by cluster is a guess


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        mean: the observed mean.
        low, high: ends of the interval.
    """

    mean: float
    low: float
    high: float


def share(values: ArrayLike, clusters: Sequence[str] | None = None) -> Estimate:
    """Returns the mean of numbers from 0 to 1 with Wilson's interval, at their effective size.

    For one seed's problems, right or wrong and not clustered, this is Wilson's interval itself. For the rest the
    variance is estimated (`crossed`), and Student's t replaces the normal distribution.

    Args:
        values: (n,) or (S, n), a number for each seed and problem.
        clusters: (n,), the cluster of each problem.

    Raises:
        ValueError: there are no values, or some are not between 0 and 1.
    """
    observed = np.atleast_2d(np.asarray(values, np.float64))
    if observed.size == 0:
        raise ValueError("no values to average")
    if not ((observed >= 0) & (observed <= 1)).all():
        raise ValueError("these values are not all between 0 and 1")
    mean, low, high = shares(observed, numbered(clusters))
    return Estimate(float(mean), float(low), float(high))


def shares(values: Array, clusters: NDArray[np.int64] | None = None) -> tuple[Array, Array, Array]:
    """Returns means and ends of intervals, as `share`, of values (…, S, n)."""
    mean = values.mean((-1, -2))
    plain = mean * (1 - mean)  # variance of a single right or wrong answer
    count = values.shape[-1]
    if values.shape[-2] == 1 and clusters is None and np.isin(values, (0, 1)).all():
        return mean, *score.wilson(mean, np.full_like(mean, count), score.NORMAL_95)
    if alone(count, clusters):
        return mean, np.zeros_like(mean), np.ones_like(mean)
    spread = crossed.spread(values, clusters)
    # Where few problems are solved, or few are not, the estimate is often too small: as if a part of one more problem,
    # or cluster, had come out the other way.
    more = _CAUTION * np.square(np.maximum(mean, 1 - mean) / spread.groups)
    cautious = dataclasses.replace(spread, variance=np.where(spread.variance > 0, spread.variance + more, 0))
    size, quantile = effective(plain, cautious)
    return mean, *score.wilson(mean, size, quantile)


def effective(plain: Array, spread: crossed.Spread) -> tuple[Array, Array]:
    """Returns the effective size of a sample, and the quantile of its 95 % interval.

    Args:
        plain: variance of a single observation, as its mean determines it.
        spread: the uncertainty of the sample's mean.
    """
    known = (spread.variance > 0) & (plain > 0)
    # Where nothing varies, it is as if each problem, or cluster, were asked once.
    size = np.where(known, plain / np.where(known, spread.variance, 1), spread.groups)
    return size, spread.quantile(0.05)


def alone(count: int, clusters: NDArray[np.int64] | None) -> bool:
    """Returns whether there are fewer than two problems or clusters, which say nothing on others."""
    return (count if clusters is None else int(clusters.max()) + 1) < 2


def numbered(clusters: Sequence[str] | None) -> NDArray[np.int64] | None:
    """Returns the number of each problem's cluster, from 0."""
    return None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1].astype(np.int64)


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Returns the unbiased estimate, for one problem, of the probability that at least one of k samples is right.

    Raises:
        ValueError: k is not between 1 and samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} cannot be estimated from {samples} samples")
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def percent(estimate: Mapping[str, float] | None, signed: bool = False) -> str:
    """Returns `41.6 (38.9 to 44.3)` for shares 0.416, 0.389, 0.443, and a dash for None."""
    if estimate is None:
        return "–"
    sign = "+" if signed else ""
    mean, low, high = (f"{100 * estimate[name]:{sign}.1f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
