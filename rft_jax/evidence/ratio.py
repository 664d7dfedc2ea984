"""The ratio of two sums over a random sample, such as loss per token over documents, with its 95 % interval."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

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
    over, under = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if over.shape != under.shape or over.ndim != 1 or not (under > 0).all():
        raise ValueError("a ratio takes a number from each observation, and a positive one to divide by")
    count = len(over)
    if count < 2:
        return None
    mean = over.sum() / under.sum()
    others = (over.sum() - over) / (under.sum() - under)
    error = np.sqrt((count - 1) / count * np.square(others - others.mean()).sum())
    half = stats.t.ppf(0.975, count - 1) * error
    return Estimate(float(mean), float(max(0, mean - half)), float(mean + half))
