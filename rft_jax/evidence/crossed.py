"""How far a mean over seeds and problems may be from what other seeds and problems would give.

The model is the crossed random-effects model without replication,

    value[s, i] = mean + problem[i] + seed[s] + rest[s, i],

in which seeds and problems are both random samples. The variance of the grand mean is

    σ²_problem / n + (σ²_seed + σ²_rest / n) / S,

of which the second part is the seeds' mean square, MS_seed / (n S), and the first (MS_problem − MS_rest) / (n S)
(Satterthwaite 1946; for arrays of any order Owen and Eckles 2012, arXiv 1106.2125), or 0 where that is negative. With
problems in clusters the sum is, in the same way, the variance of Cameron, Gelbach and Miller (2011) for two-way
clustering.

The quantile lies between that of Student's t for n problems (or clusters) and the larger one for S seeds: the squares
are averaged, with the share u of the variance that the seeds' mean square makes. Weights 1 − u and u are Banerjee's
(Sankhyā A 23, 1961), whose intervals never hold the truth too seldom, but with few seeds up to 98.7 % of the time. The
weight u ** 1.25 is ours, and so is that an interval is at least as wide as the problems alone give it at 75 %: a
mean square of three seeds is often small by chance. BUILD.md, "Evidence", has what comes of it.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

_EXPONENT = 1.25
_ALONE = 5.0  # times the level at which the problems alone are asked: 75 % for intervals of 95 %
_LEAST_P = 1e-100  # and quantiles far beyond it are not computed right


@dataclasses.dataclass(frozen=True)
class Spread:
    """The uncertainty of grand means. Each array has the leading dimensions of the values.

    Attributes:
        variance: of the mean.
        problems, by_seed, rest: the three mean squares, over S n.
        seeds, groups: numbers of seeds, and of problems or clusters.
    """

    variance: Array
    problems: Array
    by_seed: Array
    rest: Array
    seeds: int
    groups: int

    def quantile(self, level: Array | float) -> Array:
        """Returns how many standard errors, √variance, a mean must be from a value for a two-sided test at a level."""
        known = np.where(self.variance > 0, self.variance, 1)
        square = np.square(_student(self.groups, level))
        if self.seeds > 1:
            weight = (self.by_seed / known) ** _EXPONENT
            square = square + weight * np.maximum(np.square(_student(self.seeds, level)) - square, 0)
        alone = _student(self.groups, np.minimum(_ALONE * np.asarray(level), 1)) * np.sqrt(self.problems / known)
        return np.maximum(np.sqrt(square), alone)

    def p_value(self, distance: Array) -> Array:
        """Returns the level, at least 1e-100, whose quantile is `distance`, a number of standard errors."""
        low, high = np.full_like(distance, np.log(_LEAST_P)), np.zeros_like(distance)
        for _ in range(50):  # bisection
            middle = (low + high) / 2
            beyond = self.quantile(np.exp(middle)) > distance
            low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
        return np.exp((low + high) / 2)


def spread(values: Array, clusters: NDArray[np.int64] | None = None) -> Spread:
    """Returns the uncertainty of the mean of values.

    With one seed it is over problems alone, and says nothing on other seeds.

    Args:
        values: (…, S, n), a number for each seed and problem.
        clusters: (n,), numbers from 0 of the clusters; problems of one cluster may resemble each other.

    Raises:
        ValueError: there are fewer than two clusters or problems.
    """
    seeds, count = values.shape[-2:]
    groups = count if clusters is None else int(clusters.max()) + 1
    if groups < 2:
        raise ValueError(f"{groups} problems or clusters: the mean has no interval")
    of_seed = values.mean(-1)
    mean = of_seed.mean(-1)
    by_problem = _sums(values.mean(-2) - mean[..., None], clusters)
    problems = groups / (groups - 1) * np.square(by_problem).sum(-1) / count**2
    if seeds == 1:
        return total(problems, np.zeros_like(problems), np.zeros_like(problems), seeds, groups)
    by_seed = np.square(of_seed - mean[..., None]).sum(-1) / (seeds * (seeds - 1))
    both = _sums(values - of_seed[..., None], clusters) - by_problem[..., None, :]
    rest = groups / (groups - 1) * np.square(both).sum((-1, -2)) / (seeds * (seeds - 1) * count**2)
    return total(problems, by_seed, rest, seeds, groups)


def total(problems: Array, by_seed: Array, rest: Array, seeds: int, groups: int) -> Spread:
    """Returns what mean squares, each over S n, say of the mean: of `seeds` seeds, `groups` problems or clusters."""
    variance = np.maximum(problems - rest, 0) + by_seed
    # An estimate may be 0 by chance; `quantile` divides by it, and what the problems alone give must not be lost.
    return Spread(np.maximum(variance, 1e-6 * problems), problems, by_seed, rest, seeds, groups)


def _student(count: int, level: Array | float) -> Array:
    """Returns the two-sided quantile of Student's t for a variance of `count` values."""
    return -np.asarray(special.stdtrit(count - 1, np.asarray(level) / 2))


def _sums(values: Array, clusters: NDArray[np.int64] | None) -> Array:
    """Returns the sum over each cluster, (…, n) to (…, clusters)."""
    if clusters is None:
        return values
    order = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 1))
    return np.add.reduceat(values[..., order], starts, axis=-1)
