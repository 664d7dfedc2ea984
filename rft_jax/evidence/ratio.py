"""The ratio of two sums over a random sample, such as loss per token over documents, with its 95 % interval."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from rft_jax.evidence.crossed import Array
from rft_jax.evidence.intervals import Estimate


def ratio(above: ArrayLike, below: ArrayLike) -> Estimate | None:
    """Returns the ratio of two sums of positive numbers, with the jackknife's interval.

    The variance is that of the ratios that leave one observation out (Efron and Stein 1981), which are cheap, as the
    sums are known; Student's t stands for the normal distribution. By simulation it covers more than the delta method
    and the percentile bootstrap where sizes are uneven or observations few (BUILD.md, "Evidence").

    Args:
        above, below: (n,), of each observation.

    Returns:
        The estimate, or None of fewer than two observations, which say nothing on others.

    Raises:
        ValueError: there are not as many of one as of the other, or some of those below are not above 0.
    """
    over, under = _pairs(above, below)
    if len(over) < 2:
        return None
    mean, half = over.sum() / under.sum(), _half_width(_without_each(over, under))
    return Estimate(float(mean), float(max(0, mean - half)), float(mean + half))


def difference(first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike]) -> Estimate | None:
    """Returns the second ratio minus the first, of the same observations, with the jackknife's interval.

    Args:
        first, second: above and below, as for `ratio`; an observation has the same place in all four.

    Returns:
        The estimate, or None of fewer than two observations.

    Raises:
        ValueError: as `ratio` does, or there are not as many of the first as of the second.
    """
    one, other = _pairs(*first), _pairs(*second)
    if len(one[0]) != len(other[0]):
        raise ValueError(f"{len(one[0])} observations on one side and {len(other[0])} on the other")
    if len(one[0]) < 2:
        return None
    mean = other[0].sum() / other[1].sum() - one[0].sum() / one[1].sum()
    half = _half_width(_without_each(*other) - _without_each(*one))
    return Estimate(float(mean), float(mean - half), float(mean + half))


def _pairs(above: ArrayLike, below: ArrayLike) -> tuple[Array, Array]:
    over, under = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if over.shape != under.shape or over.ndim != 1 or not (under > 0).all():
        raise ValueError("a ratio takes a number from each observation, and a positive one to divide by")
    return over, under


def _without_each(over: Array, under: Array) -> Array:
    """Returns the ratios that leave one observation out."""
    return np.asarray((over.sum() - over) / (under.sum() - under))


def _half_width(others: Array) -> float:
    """Returns half the interval of an estimate, from those that leave one observation out."""
    count = len(others)
    error = np.sqrt((count - 1) / count * np.square(others - others.mean()).sum())
    return float(special.stdtrit(count - 1, 0.975) * error)
