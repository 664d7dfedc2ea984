"""The smallest difference that a comparison can show, before anything has run."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from rft_jax.evidence import crossed
from rft_jax.evidence.crossed import Array
from rft_jax.evidence.verdict import LEVEL

POWER = 0.8
_DRAWS = 400


@dataclasses.dataclass(frozen=True)
class Assumption:
    """How two models' results on a problem differ.

    Attributes:
        differing: share of problems that only one of them solves.
        lasting: the part of the differences' variance that other seeds share, from 0 to 1: it is the problem's.
        seeds: standard deviation over seeds of the true difference, a share.
    """

    differing: float
    lasting: float
    seeds: float


# Models of one size, trained on the same problems, as README's quickstart has them; BUILD.md, "Evidence", derives it.
DEFAULT = Assumption(differing=0.2, lasting=1 / 3, seeds=0.015)


def smallest(problems: int, seeds: int, comparisons: int, assumed: Assumption) -> float | None:
    """Returns the smallest true difference that is shown with power 0.8 as the first step of Holm's method.

    It is the one at which the p-value of `compare` is below 0.05 / comparisons in 80 % of runs, as normal means and the
    distribution of the seeds' mean square have it. None: it would be more than the share of problems that differ, as it
    always is where none does.

    Args:
        problems: number of test problems.
        seeds: number of seeds; with one, its own luck is not counted.
        comparisons: number of comparisons in the report.
        assumed: what the models are like.
    """
    if problems < 2 or not assumed.differing:
        return None
    lasting = assumed.lasting * assumed.differing / problems
    rest = (1 - assumed.lasting) * assumed.differing / (problems * seeds)
    by_seed = rest + assumed.seeds**2 / seeds
    if seeds == 1:  # what is new for each seed cannot be told from what lasts
        lasting, rest, by_seed = lasting + rest, 0.0, 0.0
    true = lasting + by_seed
    # The one mean square that differs much from run to run is the seeds'.
    drawn = stats.chi2.ppf((np.arange(_DRAWS) + 0.5) / _DRAWS, seeds - 1) / (seeds - 1) if seeds > 1 else np.zeros(1)
    squares = crossed.total(np.asarray(lasting + rest), by_seed * drawn, np.asarray(rest), seeds, problems)
    needed = squares.quantile(LEVEL / comparisons) * np.sqrt(squares.variance)

    def lacking(difference: float) -> float:
        return float(stats.norm.cdf((difference - needed) / math.sqrt(true)).mean()) - POWER

    if lacking(assumed.differing) < 0:  # a difference needs as many problems that differ
        return None
    return float(optimize.brentq(lacking, 0, assumed.differing, xtol=1e-7))


def observed(pairs: Sequence[Array]) -> Assumption:
    """Returns what finished comparisons show: the means of their figures.

    Args:
        pairs: the differences (S, n) of each, -1, 0 or 1.

    What one seed cannot show, `lasting` and `seeds`, is the default's unless a comparison has several.
    """
    differing = float(np.mean([np.abs(values).mean() for values in pairs]))
    several = [values for values in pairs if len(values) > 1]
    if not several:
        return dataclasses.replace(DEFAULT, differing=differing)
    lasting, seeds = [], []
    for values in several:
        found = crossed.spread(values)
        each = float(found.problems - found.rest) * values.shape[1], float(found.rest) * values.size
        lasting.append(max(each[0], 0.0) / max(sum(each), 1e-12))
        seeds.append(max(float(found.by_seed - found.rest), 0.0) * len(values))
    return Assumption(differing, min(1.0, float(np.mean(lasting))), float(np.sqrt(np.mean(seeds))))
