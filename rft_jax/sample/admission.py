"""How many samples may start, so that the pages last for all that run until they end.

The page is turned every half page, as samples begin at two times. A sample's *age* is the number of turns since it
began; it holds half as many pages.
"""

import bisect

import numpy as np

from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.lengths import Survival

MARGIN = 2.0  # standard deviations of the pages needed that stay free
DELAY = 1  # turns between what the host has seen and the call that it plans
_TINY = 1e-100  # a share whose square is still a number


class Admission:
    """Of one device: what it has learned of the lengths, and how many samples start in each call."""

    def __init__(self, sizes: CacheSizes) -> None:
        """Knows nothing yet of the lengths."""
        self._sizes = sizes
        self._survival = Survival(2 * sizes.pages_per_row)
        self._ended: list[int] = []
        self._running = 0  # may start in the call that runs now

    def room(self, ages: np.ndarray, *, waiting: int) -> int:
        """Returns how many samples may start in the next call.

        Args:
            ages: int [live samples], as far as the host has seen.
            waiting: samples that no row has started, as far as the host has seen.
        """
        waiting = min(waiting, self._sizes.rows)
        if self._sizes.history_pages >= self._sizes.rows * self._sizes.pages_per_row:
            return waiting  # there is room for all that the rows can hold
        all_ages = np.concatenate([ages, np.zeros(self._running, ages.dtype)])
        self._running = room(self._sizes.history_pages, all_ages, self._survival, waiting=waiting)
        return self._running

    def ended(self, age: int) -> None:
        """Records that a sample has ended at an age."""
        self._ended.append(age)

    def turn_page(self, live: np.ndarray) -> None:
        """Records that the samples that still run, int [samples] of their ages, have reached another turn."""
        ended = np.array(self._ended, int)
        self._survival.record(np.concatenate([live, ended]), ended)
        self._ended = []


def room(pool: int, ages: np.ndarray, survival: Survival, *, waiting: int) -> int:
    """Returns how many samples may start in the call to be planned on one device.

    At every later turn the pages needed, as expected plus MARGIN standard deviations, are within the pool. If nothing
    is live and something waits, it is at least 1: a pool has room for any one sample.

    Args:
        pool: history pages of the device.
        ages: int [live samples], as far as the host has seen; the samples that start in the call now running are among
            them.
        survival: of samples.
        waiting: samples that could start otherwise, by work and idle rows.
    """
    share = np.maximum(survival.survives, _TINY)
    pages = np.arange(len(share)) // 2
    live = np.bincount(ages, minlength=len(pages))

    # At each horizon, 0 to the limit, what the live ones hold: a sum of independent samples, each there or not.
    mean = _later(live / share, pages * share)
    variance = _later(live / share, pages**2 * share) - _later(live / share**2, (pages * share) ** 2)
    variance = np.maximum(variance, 0)  # rounding
    # What each new one adds.
    new_mean, new_variance = np.zeros((2, len(pages)))
    new_mean[DELAY:] = (pages * share)[: len(pages) - DELAY]
    new_variance[DELAY:] = (pages**2 * share * (1 - share))[: len(pages) - DELAY]

    def too_many(count: int) -> bool:
        needed = mean + count * new_mean + MARGIN * np.sqrt(variance + count * new_variance)
        return bool(np.any(needed > pool))

    count = bisect.bisect_left(range(1, waiting + 1), True, key=too_many)
    if count < waiting:
        count = min(count, _in_time(pool, live, survival))
    return count if len(ages) else max(count, min(1, waiting))


def _later(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns for j = 0, 1, … the sum over ages a of weights[a] * values[a + j]."""
    return np.correlate(values, weights, "full")[len(weights) - 1 :]


def _in_time(pool: int, live: np.ndarray, survival: Survival) -> int:
    """Returns how many may start so that no more live samples are young than if as many started at every turn.

    Samples of equal lengths that start together end together, and leave half the pool unused on average.

    Args:
        pool: history pages.
        live: int [ages + 1], live samples of each age.
        survival: of samples.
    """
    share = survival.survives
    share[survival.known + 1 :] = 0  # or the first samples would be few, and little be learned from them
    page_turns = float(np.sum(np.arange(len(share)) // 2 * share))  # of one sample
    if page_turns == 0:
        return pool
    # At the time when the new ones start, those that are of age a now are older by DELAY.
    younger = np.concatenate([np.zeros(DELAY, int), np.cumsum(live)])[: len(share)]
    most = np.ceil(pool / page_turns * np.cumsum(share))
    return max(0, int(np.min(most - younger)))
