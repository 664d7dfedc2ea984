"""How far a mean over seeds and problems may be from what other seeds and problems would give.

The model is the crossed random-effects model without replication,

    value[s, i] = mean + problem[i] + seed[s] + rest[s, i],

in which seeds and problems are both random samples. The variance of the grand mean is

    σ²_problem / n + σ²_seed / S + σ²_rest / (n S),

and its estimate from mean squares is (MS_problem + MS_seed − MS_rest) / (n S) (Satterthwaite 1946; for arrays of any
order Owen and Eckles 2012, arXiv 1106.2125). With problems in clusters it is, in the same way, the variance of Cameron,
Gelbach and Miller (2011) for two-way clustering. An estimate of σ²_seed below 0 counts as 0.

Degrees of freedom are Satterthwaite's, with a change of ours, as MS_seed from three seeds is often small by chance: its
term has the weight 2 MS_seed / (MS_seed + MS_rest) in place of 1, and they are never fewer than its own, S − 1. Without
that, intervals over three seeds would cover as little as 92 % (BUILD.md, "Evidence").
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CAUTION = 2.0  # most weight of MS_seed's term


@dataclasses.dataclass(frozen=True)
class Spread:
    """The uncertainty of grand means. Each attribute has the leading dimensions of the values.

    Attributes:
        variance: of the mean.
        freedom: degrees of freedom of that estimate.
        problems, seeds, rest: the three mean squares, over S n.
    """

    variance: Array
    freedom: Array
    problems: Array
    seeds: Array
    rest: Array


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
    more = np.maximum(by_seed - rest, 0)  # the estimate of σ²_seed / S
    variance = problems + more
    uncertain = np.square(problems) / (groups - 1)
    if seeds > 1:
        both = by_seed + rest
        weight = _CAUTION * by_seed / np.where(both > 0, both, 1)  # Satterthwaite's is 1
        uncertain = uncertain + weight * np.square(by_seed) / (seeds - 1)
    freedom = np.where(uncertain > 0, np.square(variance) / np.where(uncertain > 0, uncertain, 1), groups - 1)
    return Spread(variance, np.maximum(freedom, max(1, min(seeds, groups) - 1)), problems, by_seed, rest)


def _sums(values: Array, clusters: NDArray[np.int64] | None) -> Array:
    """Returns the sum over each cluster, (…, n) to (…, clusters)."""
    if clusters is None:
        return values
    order = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 1))
    return np.add.reduceat(values[..., order], starts, axis=-1)
