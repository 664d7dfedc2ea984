"""When rounds should end: a round's paths have collapsed, or its model is not told to be better than the one before.

**Collapse** is what makes the next training set poorer, so it is told from the paths, before one trains on them:

- distinct@k, the right paths per problem with lists of equations of their own, is lower than in the first round or in
  the previous one, the whole paired interval below 0;
- or the entropy per token is, with its whole interval, below half of the first round's.

Models that are trained on their own right samples solve more with one sample while they lose ways to solve a problem
(Wu et al. 2024, arXiv 2407.05013), and what they can still find falls before their accuracy does. For that reason Zeng
et al. (2024, arXiv 2412.17256) follow pass@k and diversity over rounds, and Cui et al. (2025, arXiv 2505.22617) the
entropy, with whose exhaustion accuracy stops growing. distinct@k is what selection takes from a round; pass@k misses a
collapse to one way per problem, and pass@1 rises with it. Noise alone lowers distinct@k past either interval in 2.5 %
of rounds, so past one of them in at most 5 %; to a half it lowers no entropy. The half is ours.

**No gain**: pass@1 is not told to be above the previous round's: the interval of its paired difference touches 0, or
lies below. What is gained but too little to show with these problems counts as no gain, as a further round costs as
much as the last. The problems are those that the model was trained on, so a gain may be memory: evaluations tell.
"""

import dataclasses

from rft_jax.evidence.intervals import Estimate
from rft_jax.rounds.figures import DISTINCT, ENTROPY, PASS_1, Figures

HALF = 0.5  # of the first round's entropy


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the rule says of a round.

    Attributes:
        collapse: the reasons, each in words; empty: none.
        no_gain: the reason, or None.
    """

    collapse: tuple[str, ...] = ()
    no_gain: str | None = None

    @property
    def stop(self) -> str | None:
        """Why to end here, or None to go on."""
        parts = [f"collapse: {', '.join(self.collapse)}"] if self.collapse else []
        parts += [f"no gain: {self.no_gain}"] if self.no_gain else []
        return "; ".join(parts) or None


def judge(k: int, now: Figures, first: Figures, since_first: Figures, since_previous: Figures, number: int) -> Verdict:
    """Returns the verdict on a later round.

    Args:
        k: samples per problem.
        now, first: figures of this round and of the first.
        since_first, since_previous: how they have changed since then.
        number: of this round, from 2.
    """
    collapse = []
    pairs = {1: since_first} | {number - 1: since_previous}
    for before, since in pairs.items():
        change = since[DISTINCT]
        if change is not None and change.high < 0:
            collapse.append(f"distinct@{k} {_told(change)} against round {before}")
    entropy, at_first = now[ENTROPY], first[ENTROPY]
    if entropy is not None and at_first is not None and entropy.high < HALF * at_first.mean:
        collapse.append(f"entropy per token {entropy.mean:.3f}, less than half of round 1's {at_first.mean:.3f}")
    gain = since_previous[PASS_1]
    assert gain is not None, "only an entropy may be unknown"
    in_points = Estimate(100 * gain.mean, 100 * gain.low, 100 * gain.high)
    return Verdict(
        tuple(collapse),
        None if gain.low > 0 else f"pass@1 {_told(in_points, digits=1)} points against round {number - 1}",
    )


def _told(change: Estimate, digits: int = 2) -> str:
    mean, low, high = (f"{each:+.{digits}f}" for each in (change.mean, change.low, change.high))
    return f"{mean} ({low} to {high})"
