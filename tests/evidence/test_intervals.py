"""Intervals, pass@k and paired comparison, against scipy and by enumeration."""

import itertools

import numpy as np
import pytest
from rft_jax.evaluate.intervals import bootstrap, compare, mcnemar, pass_at_k, wilson
from scipy import stats


@pytest.mark.parametrize(("right", "count"), [(0, 7), (7, 7), (1, 2), (647, 1319), (3, 1000)])
def test_wilson_is_scipys(right, count):
    oracle = stats.binomtest(right, count).proportion_ci(method="wilson")
    estimate = wilson(right, count)
    assert estimate.mean == right / count
    assert (estimate.low, estimate.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


@pytest.mark.parametrize(("samples", "right"), [(5, 0), (5, 2), (5, 5), (8, 1)])
def test_pass_at_k_counts_the_subsets_with_a_right_sample(samples, right):
    for k in range(1, samples + 1):
        subsets = list(itertools.combinations(range(samples), k))
        share = sum(min(subset) < right for subset in subsets) / len(subsets)
        assert pass_at_k(samples, right, k) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (10, 25), (0, 9), (200, 260)])
def test_mcnemar_is_the_exact_binomial_test(first, second):
    oracle = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(oracle, rel=1e-9)


def test_bootstrap_agrees_with_the_normal_interval_and_repeats():
    values = np.random.default_rng(1).binomial(8, 0.4, 1319) / 8
    estimate = bootstrap(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    assert estimate.mean == pytest.approx(values.mean())
    assert (estimate.low, estimate.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 20)
    assert bootstrap(values) == estimate


def test_bootstrap_intervals_have_their_nominal_coverage():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(200):
        estimate = bootstrap(rng.integers(-1, 2, 300).astype(float))
        inside += estimate.low <= 0 <= estimate.high
    # 95 % of 200, within three standard errors.
    assert abs(inside - 190) <= 3 * np.sqrt(200 * 0.95 * 0.05)


def test_compare_looks_at_pairs():
    """Two models of equal accuracy may solve the same problems, disjoint halves, or anything in between."""
    first = [True, False] * 300
    same = compare(first, first)
    assert (same.difference.mean, same.difference.low, same.difference.high, same.p) == (0, 0, 0, 1)
    other = compare(first, [not right for right in first])
    assert (other.only_first, other.only_second, other.difference.mean) == (300, 300, 0)
    assert other.difference.low < -0.05 < 0.05 < other.difference.high
    better = compare(first, [True] * 100 + first[100:])
    assert (better.only_first, better.only_second) == (0, 50)
    assert better.difference.mean == pytest.approx(50 / 600)
    assert better.difference.low > 0.05
    assert better.p < 1e-12


@pytest.mark.parametrize(
    "wrong",
    [lambda: wilson(1, 0), lambda: wilson(3, 2), lambda: bootstrap([]), lambda: pass_at_k(3, 1, 4),
     lambda: pass_at_k(3, 1, 0), lambda: compare([True], [])],
)  # fmt: skip
def test_impossible_arguments_are_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_an_interval_contains_its_share_at_both_ends():
    for count in range(1, 1400):
        none, every = wilson(0, count), wilson(count, count)
        assert none.low == none.mean == 0 < none.high
        assert every.high == every.mean == 1 > every.low
