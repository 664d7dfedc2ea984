"""Estimates with intervals. The problems are the random sample; what is measured on each of them counts as fixed."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

_ROUNDS = 10_000
_NORMAL_95 = 1.959963984540054


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


def wilson(right: int, count: int) -> Estimate:
    """Returns a share with Wilson's score interval, which stays between 0 and 1 and is accurate near both.

    Raises:
        ValueError: count is 0, or right is not between 0 and count.
    """
    if not 0 <= right <= count or count == 0:
        raise ValueError(f"{right} of {count} is not a share")
    share, z = right / count, _NORMAL_95
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # At 0 and 1, one end of the interval is the share itself, up to rounding.
    return Estimate(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def bootstrap(values: Sequence[float]) -> Estimate:
    """Returns the mean of one number per problem with its percentile bootstrap interval, the same on each call.

    Raises:
        ValueError: no values.
    """
    observed = np.asarray(values, np.float64)
    if observed.size == 0:
        raise ValueError("no values to average")
    # Problems with equal values are interchangeable: draw how many of each value come up, not which.
    distinct, counts = np.unique(observed, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(observed.size, counts / observed.size, size=_ROUNDS)
    low, high = np.quantile(drawn @ distinct / observed.size, (0.025, 0.975))
    return Estimate(float(observed.mean()), float(low), float(high))


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Returns the unbiased estimate, for one problem, of the probability that at least one of k samples is right.

    Raises:
        ValueError: k is not between 1 and samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} cannot be estimated from {samples} samples")
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the exact two-sided p-value of the hypothesis that two models are equally good.

    Args:
        only_first, only_second: number of problems that only one of the models solves; the others carry no evidence.
    """
    differing, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(differing, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / 2**differing)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A second model compared with a first, on the same problems.

    Attributes:
        difference: accuracy of the second minus the first, by paired bootstrap.
        only_first, only_second: number of problems that only one of them solves.
        p: p-value of McNemar's exact test.
    """

    difference: Estimate
    only_first: int
    only_second: int
    p: float


def compare(first: Sequence[bool], second: Sequence[bool]) -> Comparison:
    """Compares two models problem by problem.

    Raises:
        ValueError: they were not asked the same number of problems.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} problems on one side and {len(second)} on the other")
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    difference = bootstrap([float(b) - float(a) for a, b in zip(first, second, strict=True)])
    return Comparison(difference, only_first, only_second, mcnemar(only_first, only_second))


def percent(estimate: dict[str, float], signed: bool = False) -> str:
    """Returns `41.6 (38.9 to 44.3)` for shares 0.416, 0.389, 0.443."""
    sign = "+" if signed else ""
    mean, low, high = (f"{100 * estimate[name]:{sign}.1f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
