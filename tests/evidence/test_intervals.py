"""Shares with intervals: against scipy, by enumeration, and on simulated results."""

import itertools

import numpy as np
import pytest
from scipy import stats

from rft_jax.evidence import crossed, score
from rft_jax.evidence.intervals import pass_at_k, percent, share
from tests.evidence.simulated import answers


@pytest.mark.parametrize(("right", "count"), [(0, 7), (7, 7), (1, 2), (647, 1319), (3, 1000)])
def test_a_share_of_independent_problems_has_scipys_wilson_interval(right, count):
    oracle = stats.binomtest(right, count).proportion_ci(method="wilson")
    estimate = share([True] * right + [False] * (count - right))
    assert estimate.mean == pytest.approx(right / count, abs=1e-15)
    assert (estimate.low, estimate.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


@pytest.mark.parametrize(("samples", "right"), [(5, 0), (5, 2), (5, 5), (8, 1)])
def test_pass_at_k_counts_the_subsets_with_a_right_sample(samples, right):
    for k in range(1, samples + 1):
        subsets = list(itertools.combinations(range(samples), k))
        passed = sum(min(subset) < right for subset in subsets) / len(subsets)
        assert pass_at_k(samples, right, k) == pytest.approx(passed, abs=1e-12)


def test_the_variance_of_means_is_scipys_standard_error():
    values = np.random.default_rng(1).random((3, 1, 50))
    assert crossed.spread(values).variance == pytest.approx(stats.sem(values[:, 0], axis=1) ** 2)
    clusters = np.arange(50) // 5
    means = values[:, 0].reshape(3, 10, 5).mean(-1)
    assert crossed.spread(values, clusters).variance == pytest.approx(stats.sem(means, axis=1) ** 2)
    mixed = np.random.default_rng(2).permutation(50)  # the order of the problems is no matter
    assert crossed.spread(values[..., mixed], clusters[mixed]).variance == pytest.approx(
        crossed.spread(values, clusters).variance
    )


def test_mean_squares_are_those_of_a_fitted_model():
    """Sums of squares by least squares on indicators of seed and problem."""
    rng = np.random.default_rng(3)
    seeds, count = 4, 12
    values = rng.random((seeds, count)) + rng.random((seeds, 1)) + rng.random(count)

    of_seed, of_problem = np.kron(np.eye(seeds), np.ones((count, 1))), np.kron(np.ones((seeds, 1)), np.eye(count))

    def residual(*parts):
        columns = np.hstack([np.ones((seeds * count, 1)), *parts])
        fitted = columns @ np.linalg.lstsq(columns, values.ravel(), rcond=None)[0]
        return np.square(values.ravel() - fitted).sum()

    rest = residual(of_seed, of_problem)
    found = crossed.spread(values)
    scale = seeds * count
    assert found.problems == pytest.approx((residual(of_seed) - rest) / (count - 1) / scale)
    assert found.by_seed == pytest.approx((residual(of_problem) - rest) / (seeds - 1) / scale)
    assert found.rest == pytest.approx(rest / ((seeds - 1) * (count - 1)) / scale)


def test_seeds_that_answer_alike_are_one_seed():
    """Copies of one seed add nothing: the effective size is the number of problems."""
    right = np.random.default_rng(4).random(300) < 0.4
    once, thrice = share(right), share([right] * 3)
    assert thrice.mean == pytest.approx(once.mean)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-3)  # Student's t for the normal


def test_problems_of_a_cluster_that_are_alike_are_one_problem():
    right = np.random.default_rng(5).random(40) < 0.4
    many = share(np.repeat(right, 25), np.repeat([str(number) for number in range(40)], 25))
    mean = right.mean()
    variance = stats.sem(right) ** 2 + 0.1 * max(mean, 1 - mean) ** 2 / 40**2
    oracle = score.wilson(np.asarray(mean), np.asarray(mean * (1 - mean) / variance), stats.t.ppf(0.975, 39))
    assert (many.low, many.high) == pytest.approx(oracle)
    blind = share(np.repeat(right, 25))
    assert blind.high - blind.low < 0.3 * (many.high - many.low)


def test_a_single_problem_or_cluster_says_nothing_on_others():
    for estimate in (share([0.25]), share([True, False], ["a", "a"]), share([[0.5], [0.5]])):
        assert (estimate.low, estimate.high) == (0, 1)
    assert share([True]).low == pytest.approx(stats.binomtest(1, 1).proportion_ci(method="wilson").low)


@pytest.mark.parametrize(
    "wrong", [lambda: share([]), lambda: share([2]), lambda: pass_at_k(3, 1, 4), lambda: pass_at_k(3, 1, 0)]
)
def test_impossible_arguments_are_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_an_interval_contains_its_share_at_both_ends():
    for count in range(1, 400):
        none, every = share([False] * count), share([True] * count)
        assert none.low == none.mean == 0 < none.high
        assert every.high == every.mean == 1 > every.low
    alike = share([0.25] * 10)
    assert alike.low < alike.mean == 0.25 < alike.high


def test_percent():
    assert percent({"mean": 0.416, "low": 0.389, "high": 0.443}) == "41.6 (38.9 to 44.3)"
    assert percent({"mean": 0.01, "low": -0.02, "high": 0.04}, signed=True) == "+1.0 (-2.0 to +4.0)"
    assert percent(None) == "–"


def test_the_simulated_models_are_as_good_as_they_are_said_to_be():
    rng = np.random.default_rng(6)
    drawn = answers(rng, 200, 3, 500, (0.1, 0.6), deviation=0.02, own=0.2)
    first, second = (np.concatenate(each) for each in zip(*drawn, strict=True))
    assert (first.mean(), second.mean()) == pytest.approx((0.1, 0.6), abs=0.005)
    assert np.corrcoef(first[0].ravel(), second[0].ravel())[0, 1] > 0.1
