"""Score intervals, which keep their coverage near 0 and 1: Wilson's for a share, Tango's for a paired difference.

Both take a variance that the mean itself determines. What is not a plain sample, seeds × problems or problems in
clusters, enters by its effective size: the size of a plain sample whose mean has the same variance (Kish 1965; for
Wilson's interval in surveys Dean and Pagano 2015, for Tango's likewise here).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NORMAL_95 = 1.959963984540054
_CERTAIN = 1e9  # statistic of what cannot be by chance; not infinite, as 0 times it is 0


def wilson(share: Array, size: Array, quantile: Array | float) -> tuple[Array, Array]:
    """Returns the ends of Wilson's interval for shares (Wilson 1927).

    Args:
        share: observed, from 0 to 1.
        size: effective number of observations.
        quantile: of the normal or t distribution: 1.96 for 95 %.
    """
    square = np.square(quantile)
    middle = (share + square / (2 * size)) / (1 + square / size)
    half = quantile / (1 + square / size) * np.sqrt(share * (1 - share) / size + square / (4 * size * size))
    # At 0 and 1, one end of the interval is the share itself, up to rounding.
    return np.minimum(share, np.maximum(0, middle - half)), np.maximum(share, np.minimum(1, middle + half))


def statistic(more: Array, fewer: Array, size: Array, difference: Array | float) -> Array:
    """Returns Tango's score statistic of a paired difference: about normal where `difference` is the true one.

    Args:
        more, fewer: effective numbers of pairs in which only the second is right, and only the first.
        size: effective number of pairs.
        difference: true share of right ones, second minus first, to be tested.
    """
    # The likeliest share of `fewer` given the difference: the larger root of 2 n q² + B q + C (Tango 1998, section 2).
    linear = -more - fewer + (2 * size - more + fewer) * difference
    constant = -fewer * difference * (1 - difference)
    root = np.sqrt(np.maximum(np.square(linear) - 8 * size * constant, 0))
    share = (root - linear) / (4 * size)
    variance = np.maximum(size * (2 * share + difference * (1 - difference)), 0)
    above = more - fewer - size * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 1e-12 * size, above / np.sqrt(variance), np.sign(above) * _CERTAIN)


def tango(more: Array, fewer: Array, size: Array, quantile: Array | float) -> tuple[Array, Array]:
    """Returns the ends of the interval of the differences that `statistic` does not reject (Tango 1998)."""
    middle = (more - fewer) / size
    low = _crossing(more, fewer, size, quantile, np.full_like(middle, -1.0), middle)
    high = _crossing(more, fewer, size, np.negative(quantile), middle, np.full_like(middle, 1.0))
    return low, high


def _crossing(more: Array, fewer: Array, size: Array, level: Array | float, below: Array, above: Array) -> Array:
    """Returns where the statistic, which falls as the difference grows, is `level`, by bisection."""
    for _ in range(50):
        middle = (below + above) / 2
        larger = statistic(more, fewer, size, middle) > level
        below, above = np.where(larger, middle, below), np.where(larger, above, middle)
    return (below + above) / 2
