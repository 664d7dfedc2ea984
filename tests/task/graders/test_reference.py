"""The reference's grader, fault for fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.graders.reference import GRADER
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
def test_answers(text: str, expected: str | None) -> None:
    assert GRADER.parse(text) == expected


def test_selection_compares_exactly_and_evaluation_forgives() -> None:
    assert GRADER.equal_in_selection("18.0", "18")
    assert not GRADER.equal_in_selection("18.00009", "18")
    assert GRADER.equal("18.00009", "18")
    assert not GRADER.equal("18.001", "18")


def test_the_vote_counts_strings_and_the_first_seen_wins() -> None:
    assert GRADER.vote(["2", None, "1", "1", "2"]) == "2"
    assert GRADER.vote(["18", "18.0", "20", "20"]) == "20"
    assert GRADER.vote([None]) is None
    assert GRADER.vote([]) is None


@given(st.text(alphabet="#0123456789.,- \0\nx"))
def test_any_text_has_an_answer_or_none(text: str) -> None:
    answer = GRADER.parse(text)
    assert answer is None or GRADER.equal_in_selection(answer, answer)


def test_the_released_models_outputs() -> None:
    """647 of 1,319, as the reference's evaluation scores them (PAPER.md)."""
    outputs = read_jsonl(shared("data/released_model/greedy_fp32.jsonl"))
    gold = [GRADER.parse(problem["answer"]) for problem in read_jsonl(shared("data/gsm8k/test.jsonl"))]
    right = 0
    for output in outputs:
        answer = GRADER.parse(output["response"])
        right += answer is not None and GRADER.equal(answer, gold[output["problem"]])
    assert (right, len(outputs)) == (647, 1_319)
