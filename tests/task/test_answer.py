"""The two graders: the reference's, fault for fault, and the robust one."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.answer import (
    EVALUATION_TOLERANCE,
    reference_answer,
    reference_equal,
    reference_vote,
    robust_answer,
)
from tests.shared_data import read_jsonl, shared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so 18.\n#### 18", "18"),
        ("#### 1,234.50", "1234.50"),
        ("#### 18\n#### 20", "18"),  # the first one
        ("#### 1.2.3\n#### 20", None),  # even if it is no number
        ("#### -5", "-5"),
        ("#### $18", None),
        ("####18", None),
        ("### 18", None),
        ("#### 1/2", "1"),
        ("#### 18.", "18."),
        ("#### ,", None),
        ("#### 1\0\n", "1"),
        ("\0#### 1", None),
        ("#### ١٢", None),
        ("", None),
    ],
)
def test_reference_answer(text: str, expected: str | None) -> None:
    assert reference_answer(text) == expected


def test_selection_compares_exactly_and_evaluation_forgives() -> None:
    assert reference_equal("18.0", "18", tolerance=0.0)
    assert not reference_equal("18.00009", "18", tolerance=0.0)
    assert reference_equal("18.00009", "18", tolerance=EVALUATION_TOLERANCE)
    assert not reference_equal("18.001", "18", tolerance=EVALUATION_TOLERANCE)
    assert not reference_equal(None, None, tolerance=EVALUATION_TOLERANCE)


def test_the_vote_counts_strings_and_the_first_seen_wins() -> None:
    assert reference_vote(["2", None, "1", "1", "2"]) == "2"
    assert reference_vote(["18", "18.0", "20", "20"]) == "20"
    assert reference_vote([None]) is None
    assert reference_vote([]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#### $1,200.", 1200),
        ("#### 50%", 50),
        ("####-5", -5),
        ("#### -$5", -5),
        ("#### $-5", -5),
        ("#### −3", -3),
        ("#### 1/2", Fraction(1, 2)),
        ("#### -1/2 cups", Fraction(-1, 2)),
        ("#### 1 1/2", Fraction(3, 2)),
        ("#### 10.50", Fraction(21, 2)),
        ("#### .5", Fraction(1, 2)),
        ("#### 5 dollars", 5),
        ("#### 12, because", 12),
        ("#### 1,5", None),
        ("#### 12,34", None),
        ("#### 1.2.3", None),
        ("#### 5:30", None),
        ("#### 2^10", None),
        ("#### 1/0", None),
        ("#### " + "9" * 500, None),
        ("18", None),
    ],
)
def test_robust_answer(text: str, expected: Fraction | None) -> None:
    assert robust_answer(text) == expected


def test_robust_first_and_last() -> None:
    assert robust_answer("#### 5\n#### six\n#### 7") == 7
    assert robust_answer("#### 5\n#### six\n#### 7", "first") == 5


@given(st.decimals(-(10**9), 10**9, places=3))
def test_robust_reads_any_decimal_exactly(number) -> None:
    for form in (f"{number}", f"{number:,}", f"${number:,}."):
        assert robust_answer(f"so\n#### {form}") == Fraction(number)


@pytest.mark.parametrize(
    "text", ["#" * 10**6, "#### " * 10**6, "####" + " " * 10**6, "#### 1" + ",111" * 10**5, "#### " + "1 1 " * 10**5]
)
def test_grading_is_linear(text: str) -> None:
    begin = time.process_time()
    reference_answer(text)
    robust_answer(text)
    assert time.process_time() - begin < 5


def test_the_released_model_scores_647() -> None:
    gold = [row["answer"] for row in read_jsonl(shared("data/gsm8k/test.jsonl"))]
    outputs = read_jsonl(shared("data/released_model/greedy_fp32.jsonl"))
    pairs = [(row["response"], gold[row["problem"]]) for row in outputs]
    by_reference = sum(
        reference_equal(reference_answer(ours), reference_answer(answer), tolerance=EVALUATION_TOLERANCE)
        for ours, answer in pairs
    )
    assert (by_reference, len(pairs)) == (647, 1_319)


def test_the_robust_grader_reads_every_gold_answer_as_the_reference_does() -> None:
    for row in read_jsonl(shared("data/gsm8k/train.jsonl")):
        reference = reference_answer(row["answer"])
        assert reference is not None
        assert robust_answer(row["answer"]) == Fraction(reference)
