"""The funnel counts what it says."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rft_jax.records.path import Path
from rft_jax.select.statistics import pass_at_k, solved_histogram, table
from tests.select.selection import path_lists, selected


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_with_a_correct_one(case: tuple[int, int, int]) -> None:
    n, c, k = case
    draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k({(n, c): 5}, k) == float(Fraction(sum(map(any, draws)), len(draws)))


def test_pass_at_k_averages_over_problems_and_needs_k_samples() -> None:
    assert pass_at_k({(4, 0): 1, (4, 4): 3}, 2) == 0.75
    assert pass_at_k({(4, 1): 1, (3, 1): 1}, 4) is None
    assert pass_at_k({}, 1) is None
    assert math.isclose(pass_at_k({(10_000, 1): 1}, 100) or 0, 0.01)


def test_histogram_has_the_bins_of_the_paper() -> None:
    solved = {(100, count): 1 for count in (0, 1, 20, 21, 40, 41, 60, 61, 80, 81, 99, 100)}
    assert list(solved_histogram(solved).values()) == [1, 2, 2, 2, 2, 2, 1]
    assert sum(solved_histogram({(3, count): 1 for count in range(4)}).values()) == 4


@settings(max_examples=30)
@given(path_lists())
def test_the_funnel_narrows_and_adds_up(paths: list[Path]) -> None:
    outcome = selected([[paths]])
    statistics = outcome.statistics
    for funnel in [statistics["united"], *statistics["models"].values()]:
        steps = [funnel[name] for name in ("samples", "parsed", "correct", "equations_hold", "distinct")]
        assert steps == sorted(steps, reverse=True)
        assert sum(funnel["solved_by_share_of_samples"].values()) == funnel["problems"]
        last = list(funnel["at_k"].values())[-1]
        assert last["correct"] * funnel["problems"] == pytest.approx(funnel["correct"])
        assert last["distinct"] * funnel["problems"] == pytest.approx(funnel["distinct"])
        assert last["distinct"] <= last["distinct_with_gold"] < last["distinct"] + 1 + 1e-9
    united = statistics["united"]
    for name in ("samples", "parsed", "correct", "equations_hold"):
        assert sum(funnel[name] for funnel in statistics["models"].values()) == united[name]
    assert united["samples"] == len(paths)
    assert united["distinct"] == sum(entry["distinct"] for entry in statistics["found_by"])
    assert statistics["rows"]["out.jsonl"] == {"gold": 4, "selected": len(outcome.paths)}
    audit = statistics["graders"]["robust"]
    assert audit["correct_by_both"] + audit["correct_by_reference_only"] == united["correct"]
    assert audit["disagree"] == audit["correct_by_reference_only"] + audit["correct_by_robust_only"]
    assert audit["paths"] == len(paths)
    assert all(line == line.rstrip() for line in table(statistics).splitlines())


def test_an_example_by_hand() -> None:
    right, other = "<<1+1=2>>\n#### 42", "<<2*21=42>>\n#### 42"  # the second has the gold path's equations
    paths = [
        *(Path(0, sample, "a", text) for sample, text in enumerate([right, right, other, "<<1+1=3>>\n#### 42"])),
        *(Path(0, sample, "b", text) for sample, text in enumerate([right, "#### $42", "no idea"])),
        *(Path(1, sample, "a", "#### 44") for sample in range(4)),
    ]
    statistics = selected([[paths]], ks=[1, 3]).statistics
    a, b = statistics["models"]["a"], statistics["models"]["b"]
    assert {name: a[name] for name in ("problems", "samples", "parsed", "correct", "equations_hold", "distinct")} == {
        "problems": 2, "samples": 8, "parsed": 8, "correct": 4, "equations_hold": 3, "distinct": 2,
    }  # fmt: skip
    assert (b["problems"], b["samples"], b["parsed"], b["correct"], b["distinct"]) == (1, 3, 1, 1, 1)
    assert list(a["at_k"]) == ["1", "3", "4"]
    assert a["at_k"]["1"] == {"correct": 0.5, "distinct": 0.5, "distinct_canonical": 0.5} | {
        "distinct_with_gold": 1.5, "pass_at_k": 0.5,
    }  # fmt: skip
    assert a["at_k"]["3"] == {"correct": 1.5, "distinct": 1.0, "distinct_canonical": 1.0} | {
        "distinct_with_gold": 1.5, "pass_at_k": 0.5,
    }  # fmt: skip
    assert statistics["found_by"] == [
        {"models": ["a"], "distinct": 1, "share": 0.5},
        {"models": ["a", "b"], "distinct": 1, "share": 0.5},
    ]
    assert statistics["never_solved"] == [1]
    assert statistics["suspect_gold_answers"] == [{"problem": 1, "answer": "44", "votes": 4, "samples": 4}]
    assert statistics["graders"]["robust"]["examples"] == [
        {
            "problem": 0, "model": "b", "sample": 1, "correct_by": "robust",
            "answers": {"reference": None, "robust": "42"},
        }
    ]  # fmt: skip
