"""The ratio of two sums: scipy's bootstrap where both hold, and each observation left out in turn."""

import time

import numpy as np
import pytest
from scipy import stats

from rft_jax.evidence.intervals import Estimate
from rft_jax.evidence.ratio import difference, ratio


def sample(count, spread, seed=1):
    rng = np.random.default_rng(seed)
    below = np.ceil(np.exp(rng.normal(5, spread, count)))
    return below * rng.normal(2, 0.3, count), below


def test_the_interval_is_that_of_observations_drawn_whole():
    above, below = sample(400, 0.5)
    found = ratio(above, below)
    theirs = stats.bootstrap(
        (above, below), lambda one, other, axis: one.sum(axis) / other.sum(axis), paired=True, vectorized=True,
        method="percentile", n_resamples=9_999, rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert found.mean == pytest.approx(above.sum() / below.sum())
    # Of 10,000 draws, an end of the interval has a standard error of about 0.01 of its width.
    assert abs(found.low - theirs.low) < 0.06 * width
    assert abs(found.high - theirs.high) < 0.06 * width


def test_each_observation_is_left_out_in_turn():
    above, below = sample(7, 1.0)
    left = [np.delete(above, n).sum() / np.delete(below, n).sum() for n in range(7)]
    half = stats.t.ppf(0.975, 6) * np.sqrt(6 * np.var(left))
    found = ratio(above, below)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


def test_it_covers_the_truth_more_often_than_the_bootstrap_where_sizes_are_uneven():
    above, below = sample(1_000_000, 1.0)
    truth = above.sum() / below.sum()
    runs, own, other = 400, 0, 0
    rng = np.random.default_rng(3)
    for run in range(runs):
        one = sample(10, 1.0, seed=10 + run)
        found = ratio(*one)
        own += found.low <= truth <= found.high
        drawn = rng.integers(0, 10, (400, 10))
        low, high = np.quantile(one[0][drawn].sum(1) / one[1][drawn].sum(1), (0.025, 0.975))
        other += low <= truth <= high
    print(f"covered: jackknife {own / runs:.3f}, bootstrap {other / runs:.3f} of {runs}")
    assert other < own
    assert own / runs > 0.9


def test_a_million_observations_take_no_time():
    above, below = sample(1_000_000, 1.0)
    start = time.process_time()
    ratio(above, below)
    assert time.process_time() - start < 2


def test_few_observations():
    assert ratio([3.0], [2.0]) is None
    assert ratio([], []) is None
    assert ratio([1.0, 100.0], [1.0, 1.0]).low == 0
    for above, below in (([1.0, 2.0], [1.0]), ([1.0, 2.0], [1.0, 0.0])):
        with pytest.raises(ValueError, match="a positive one to divide by"):
            ratio(above, below)


def test_a_difference_leaves_out_an_observation_of_both_sides():
    one, other = sample(7, 1.0), sample(7, 1.0, seed=2)
    left = [
        np.delete(other[0], n).sum() / np.delete(other[1], n).sum()
        - np.delete(one[0], n).sum() / np.delete(one[1], n).sum()
        for n in range(7)
    ]
    half = stats.t.ppf(0.975, 6) * np.sqrt(6 * np.var(left))
    found = difference(one, other)
    assert found.mean == pytest.approx(ratio(*other).mean - ratio(*one).mean)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert difference(one, one) == Estimate(0, 0, 0)


def test_a_difference_is_told_more_closely_than_by_two_intervals_and_covers_the_truth():
    """Documents that are hard for one model are hard for the other, too."""
    runs, covered, closer = 400, 0, 0
    rng = np.random.default_rng(4)
    for _ in range(runs):
        sizes, hard = rng.integers(20, 200, (2, 60)), rng.normal(2, 0.3, 60)
        one, other = (sizes[n] * (hard - shift + rng.normal(0, 0.1, 60)) for n, shift in ((0, 0), (1, 0.05)))
        found = difference((one, sizes[0]), (other, sizes[1]))
        covered += found.low <= -0.05 <= found.high
        apart = [ratio(one, sizes[0]), ratio(other, sizes[1])]
        closer += found.high - found.low < np.hypot(*(each.high - each.low for each in apart))
    assert 0.93 < covered / runs < 0.97
    assert closer > 0.95 * runs


def test_differences_of_other_observations_are_refused():
    with pytest.raises(ValueError, match="3 observations on one side and 2 on the other"):
        difference(([1.0] * 3, [1.0] * 3), ([1.0] * 2, [1.0] * 2))
    assert difference(([1.0], [1.0]), ([2.0], [1.0])) is None
