"""What several comparisons say together."""

from collections.abc import Sequence

import numpy as np

from rft_jax.evidence.intervals import Estimate

LEVEL = 0.05


def holm(ps: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number: of all comparisons together, 5 % of reports err (Holm 1979)."""
    order = np.argsort(ps, kind="stable")
    scaled = np.asarray(ps)[order] * np.arange(len(ps), 0, -1)
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1) if len(ps) else scaled
    return [float(p) for p in adjusted]


def verdict(difference: Estimate, adjusted: float) -> str:
    """Returns `better`, `worse` or `not told apart`; never the first two where the interval touches 0."""
    if adjusted >= LEVEL or difference.low <= 0 <= difference.high:
        return "not told apart"
    return "better" if difference.mean > 0 else "worse"
