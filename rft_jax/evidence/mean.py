"""The mean of numbers of any size over seeds and problems, such as a difference of counts, with its 95 % interval."""

import numpy as np
from numpy.typing import ArrayLike

from rft_jax.evidence import crossed
from rft_jax.evidence.intervals import Estimate


def mean(values: ArrayLike) -> Estimate | None:
    """Returns the mean with the interval that `crossed` gives it.

    Args:
        values: (n,) or (S, n), a number for each seed and problem. With one seed it is over problems alone.

    Returns:
        The estimate, or None of fewer than two problems, which say nothing on others.
    """
    observed = np.atleast_2d(np.asarray(values, np.float64))
    if observed.shape[-1] < 2:
        return None
    spread = crossed.spread(observed)
    middle = float(observed.mean())
    half = float(spread.quantile(0.05) * np.sqrt(spread.variance))
    return Estimate(middle, middle - half, middle + half)
