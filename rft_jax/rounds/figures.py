"""The figures of a round, and how they differ from another round's, problem by problem; all with 95 % intervals.

Shares and pass@k have the intervals of accuracies (`evidence.intervals.share`: Wilson's, at the effective size), and
differences in what a problem does or does not do Tango's (`evidence.compare.differences`). Other numbers have Student's
interval, paired where they are compared (`evidence.mean`), and ratios the jackknife's (`evidence.ratio`), which is
the same for a mean. All take problems as a random sample; they say nothing on other seeds of sampling or training.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rft_jax.evidence import ratio
from rft_jax.evidence.compare import differences
from rft_jax.evidence.crossed import Array
from rft_jax.evidence.intervals import Estimate, share
from rft_jax.evidence.mean import mean
from rft_jax.rounds.outcomes import Outcomes

Figures = dict[str, Estimate | None]

PASS_1, PASS_K, DISTINCT, ALL, NONE = "pass@1", "pass@k", "distinct@k", "all_right", "none_right"
TOKENS, ENTROPY = "tokens_per_path", "entropy_per_token"
NAMES = (PASS_1, PASS_K, DISTINCT, ALL, NONE, TOKENS, ENTROPY)
SHARES = (PASS_1, PASS_K, ALL, NONE)  # to be told in percent

# Of each problem, from how many of its k samples are right: 0 or 1.
_YES_OR_NO: Mapping[str, Callable[[Array, int], NDArray[np.bool_]]] = {
    PASS_K: lambda right, k: right > 0,
    ALL: lambda right, k: right == k,
    NONE: lambda right, k: right == 0,
}


def figures(found: Outcomes, k: int) -> Figures:
    """Returns each figure; the entropy is None where the log-probabilities are not known.

    Args:
        found: of at least two problems.
        k: samples of each.
    """
    right, distinct, tokens = (np.asarray(each, np.float64) for each in (found.right, found.distinct, found.tokens))
    return {
        PASS_1: share(right / k),
        **{name: share(holds(right, k)) for name, holds in _YES_OR_NO.items()},
        DISTINCT: ratio.ratio(distinct, np.ones_like(distinct)),
        TOKENS: ratio.ratio(tokens, np.full_like(tokens, k)),
        ENTROPY: ratio.ratio(*_per_token(found)) if _is_known(found) else None,
    }


def changes(before: Outcomes, now: Outcomes, k: int) -> Figures:
    """Returns the differences in each figure, `now` minus `before`, of the same problems with k samples each."""
    columns = ((before.right, now.right), (before.distinct, now.distinct), (before.tokens, now.tokens))
    right, distinct, tokens = (tuple(np.asarray(each, np.float64) for each in pair) for pair in columns)
    return {
        PASS_1: mean((right[1] - right[0]) / k),
        **{
            name: Estimate(*(float(each) for each in differences((one - other)[None])[:3]))
            for name, holds in _YES_OR_NO.items()
            for other, one in [(holds(each, k).astype(np.float64) for each in right)]
        },
        DISTINCT: mean(distinct[1] - distinct[0]),
        TOKENS: mean((tokens[1] - tokens[0]) / k),
        ENTROPY: ratio.difference(_per_token(before), _per_token(now))
        if _is_known(before) and _is_known(now)
        else None,
    }


def _is_known(found: Outcomes) -> bool:
    return found.nats is not None and min(found.tokens) > 0


def _per_token(found: Outcomes) -> tuple[Array, Array]:
    return np.asarray(found.nats, np.float64), np.asarray(found.tokens, np.float64)
