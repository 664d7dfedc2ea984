"""How long samples go on, learned from those that ended and from those that still run. Ages are counted in pages."""

import numpy as np

MEMORY = 128  # samples per age that count; older ones fade, as sorted problems make lengths drift


class Survival:
    """The Kaplan-Meier estimate of the share of samples that reach an age.

    Running samples count as well, so the short ones, which end first, do not mislead it.

    Attributes:
        at_risk: float64 [pages], samples that began a call with so many pages, the last MEMORY of them.
        ended: float64 [pages], those of them that ended in it.
    """

    def __init__(self, pages: int) -> None:
        """Knows nothing yet; `pages` is the most that a sample holds."""
        self.at_risk, self.ended = np.zeros(pages), np.zeros(pages)

    def record(self, at_risk: np.ndarray, ended: np.ndarray) -> None:
        """Learns from one call.

        Args:
            at_risk: int [samples], the pages that each live sample held before the call, 0 to pages.
            ended: int [ended samples], the same of those that ended in it, at the limit or before.
        """
        pages = len(self.at_risk)
        # With the most pages a sample ends for sure, which is nothing to learn.
        self.at_risk += np.bincount(at_risk, minlength=pages)[:pages]
        self.ended += np.bincount(ended, minlength=pages)[:pages]
        fading = np.minimum(1, MEMORY / np.maximum(1, self.at_risk))
        self.at_risk *= fading
        self.ended *= fading

    @property
    def survives(self) -> np.ndarray:
        """The share of samples that come to hold 0, 1, … pages: float64 [pages + 1], falling from 1, never 0.

        One sample that went on counts at every age, so where nothing is known all go on.
        """
        return np.concatenate([[1], np.cumprod(1 - self.ended / (self.at_risk + 1))])

    @property
    def known(self) -> int:
        """The most pages of which it is known which share comes to hold them; 0 before the first call."""
        return int(np.count_nonzero(self.at_risk))
