"""How long samples go on, learned from those that ended and from those that still run.

Ages are counted in turns of the page.
"""

import numpy as np

MEMORY = 128  # samples per age that count; older ones fade, as sorted problems make lengths drift


class Survival:
    """The Kaplan-Meier estimate of the share of samples that reach an age.

    Running samples count as well, so the short ones, which end first, do not mislead it.

    Attributes:
        at_risk: float64 [ages], samples of each age that went on, the last MEMORY of them.
        ended: float64 [ages], those of them that ended before the next turn.
    """

    def __init__(self, ages: int) -> None:
        """Knows nothing yet; a sample ends before it reaches the age of `ages`."""
        self.at_risk, self.ended = np.zeros(ages), np.zeros(ages)

    def record(self, at_risk: np.ndarray, ended: np.ndarray) -> None:
        """Learns from what happened between two turns.

        Args:
            at_risk: int [samples], the age of each sample that was live after the first, or started then.
            ended: int [ended samples], the same of those that ended before the second, at the limit or before.
        """
        ages = len(self.at_risk)
        self.at_risk += np.bincount(at_risk, minlength=ages)[:ages]
        self.ended += np.bincount(ended, minlength=ages)[:ages]
        fading = np.minimum(1, MEMORY / np.maximum(1, self.at_risk))
        self.at_risk *= fading
        self.ended *= fading

    @property
    def survives(self) -> np.ndarray:
        """The share of samples that reach the age of 0, 1, …: float64 [ages + 1], falling from 1, never 0.

        One sample that went on counts at every age, so where nothing is known all go on.
        """
        return np.concatenate([[1], np.cumprod(1 - self.ended / (self.at_risk + 1))])

    @property
    def known(self) -> int:
        """The highest age of which it is known which share reaches it; 0 before anything is."""
        return int(np.count_nonzero(self.at_risk))
