"""Comparisons of two models: the score interval, p-values, Holm's correction, verdicts."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import optimize, stats

from rft_jax.evidence import score
from rft_jax.evidence.compare import compare
from rft_jax.evidence.intervals import Estimate
from rft_jax.evidence.verdict import holm, verdict


def pairs(more, fewer, count):
    """Returns two models' results with these numbers of problems that only the second or the first solves."""
    first = [False] * more + [True] * fewer + [True] * (count - more - fewer)
    second = [True] * more + [False] * fewer + [True] * (count - more - fewer)
    return first, second


@pytest.mark.parametrize(("more", "fewer", "count"), [(7, 1, 21), (40, 60, 300), (3, 0, 50), (0, 0, 30), (25, 5, 40)])
@pytest.mark.parametrize("difference", [-0.3, -0.05, 0.02, 0.4])
def test_the_score_statistic_takes_the_likeliest_shares(more, fewer, count, difference):
    """The shares under a hypothesis are found anew, by maximising the likelihood."""

    def unlikelihood(share):
        chances = share + difference, share, 1 - 2 * share - difference
        counts = more, fewer, count - more - fewer
        return -sum(number * np.log(chance) for number, chance in zip(counts, chances, strict=True) if number)

    bounds = max(0, -difference), (1 - difference) / 2
    share = optimize.minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = count * (2 * share + difference - difference**2)
    found = score.statistic(np.array(float(more)), np.array(float(fewer)), np.array(float(count)), difference)
    assert found == pytest.approx((more - fewer - count * difference) / np.sqrt(variance), rel=1e-4)


def test_the_interval_is_that_of_the_literature():
    """Airway hyper-responsiveness before and after transplantation: Fagerland, Lydersen and Laake 2014, table 6."""
    difference = compare(*pairs(1, 7, 21)).difference
    assert (difference.mean, difference.low, difference.high) == pytest.approx((-0.286, -0.517, -0.026), abs=6e-4)


@pytest.mark.parametrize(("more", "fewer"), [(3, 3), (25, 10), (9, 0), (260, 200)])
def test_one_seeds_p_is_mcnemars(more, fewer):
    oracle = stats.chi2.sf((more - fewer) ** 2 / (more + fewer), 1)
    found = compare(*pairs(more, fewer, 1000))
    assert (found.only_second, found.only_first, found.p) == (more, fewer, pytest.approx(oracle))


def test_compare_looks_at_pairs():
    """Two models of equal accuracy may solve the same problems, disjoint halves, or anything in between."""
    first = [True, False] * 300
    same = compare(first, first)
    assert (same.difference.mean, same.p) == (0, 1)
    other = compare(first, [not right for right in first])
    assert (other.only_first, other.only_second, other.difference.mean) == (300, 300, 0)
    assert other.difference.high > 10 * same.difference.high
    better = compare(first, [True] * 100 + first[100:])
    assert (better.only_first, better.only_second) == (0, 50)
    assert better.difference.mean == pytest.approx(50 / 600)
    assert better.difference.low > 0.05
    assert better.p < 1e-11


def test_the_interval_excludes_0_where_p_is_below_5_percent():
    rng = np.random.default_rng(0)
    seen = set()
    for seeds, clustered in itertools.product((1, 2, 3, 10), (False, True)):
        for _ in range(30):
            first, second = rng.random((seeds, 60)) < 0.5, rng.random((seeds, 60)) < rng.choice([0.5, 0.65, 0.8])
            found = compare(first, second, [str(n // 5) for n in range(60)] if clustered else None)
            touches = found.difference.low <= 0 <= found.difference.high
            assert touches == (found.p >= 0.05)
            assert found.difference.low <= found.difference.mean <= found.difference.high
            seen.add(touches)
    assert seen == {False, True}


def test_swapping_the_models_changes_the_sign():
    rng = np.random.default_rng(1)
    first, second = rng.random((3, 200)) < 0.4, rng.random((3, 200)) < 0.5
    one, other = compare(first, second), compare(second, first)
    assert (one.difference.low, one.difference.high) == pytest.approx((-other.difference.high, -other.difference.low))
    assert one.p == pytest.approx(other.p)


def test_a_shared_model_is_the_same_for_all_seeds():
    rng = np.random.default_rng(2)
    base, trained = rng.random(100) < 0.3, rng.random((3, 100)) < 0.5
    assert compare(base, trained) == compare([base] * 3, trained)


def test_seeds_that_differ_widen_the_interval():
    """The same answers in all, but one seed has most of the gain."""
    even = np.zeros((3, 300), bool)
    even[:, :30] = True
    uneven = np.zeros((3, 300), bool)
    uneven[0, :90] = True
    nothing = np.zeros(300, bool)
    alike, lucky = compare(nothing, even), compare(nothing, uneven)
    assert alike.difference.mean == lucky.difference.mean == pytest.approx(0.1)
    assert alike.p < 0.001
    assert lucky.p > 0.05


@pytest.mark.parametrize("sides", [([True], []), ([], []), ([[True]] * 2, [[True]] * 3)])
def test_what_is_not_paired_is_refused(sides):
    with pytest.raises(ValueError):
        compare(*sides)


@pytest.mark.parametrize("alone", [([[True]] * 3, [[False]] * 3, None), ([True, True], [False, True], ["a", "a"])])
def test_a_single_problem_or_cluster_says_nothing(alone):
    found = compare(*alone)
    assert (found.difference.low, found.difference.high, found.p) == (-1, 1, 1)


def test_holm_rejects_step_by_step():
    """The definition: from the smallest p, reject while p is at most level / (number left)."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        ps = rng.random(6) ** 4
        adjusted = holm(ps)
        for level in (0.01, 0.05, 0.3):
            rejected, left = set(), list(np.argsort(ps))
            while left and ps[left[0]] <= level / len(left):
                rejected.add(left.pop(0))
            assert rejected == {number for number, p in enumerate(adjusted) if p <= level}
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1, 1]


def test_no_verdict_where_the_interval_touches_0():
    assert verdict(Estimate(0.02, 0.01, 0.03), 0.04) == "better"
    assert verdict(Estimate(-0.02, -0.03, -0.01), 0.04) == "worse"
    assert verdict(Estimate(0.02, 0.01, 0.03), 0.05) == "not told apart"
    for low, high in ((0.0, 0.04), (-0.01, 0.05)):
        assert verdict(Estimate(0.02, low, high), 1e-9) == "not told apart"


def test_a_comparison_is_json():
    found = dataclasses.asdict(compare(*pairs(10, 3, 100)))
    assert {type(value) for value in (*found["difference"].values(), found["p"])} == {float}
    assert type(found["only_first"]) is int
