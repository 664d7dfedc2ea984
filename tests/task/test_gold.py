"""A gold answer that the grader cannot read is told with its place, not graded as wrong."""

import pytest

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.task import grader as graders
from rft_jax.task.gold import gold_answers


@pytest.mark.parametrize(
    ("grader", "response"),
    [
        ("reference", "72"), ("reference", "It is 72."), ("reference", "#### $18"), ("reference", "####18"),
        ("reference", ""), ("reference", "\ud800"), ("reference", "x" * 10_000), ("reference", "a\0#### 5"),
        ("robust", "#### 5:30"), ("robust", "no number"),
    ],
)  # fmt: skip
def test_the_place_the_answer_and_the_grader_are_named(grader, response):
    problems = [Problem("q", "#### 1"), Problem("q", response)]
    with pytest.raises(UserError) as refused:
        gold_answers(problems, graders.load(grader), "test.jsonl")
    message = str(refused.value)
    assert message.startswith(f"test.jsonl:2: the grader '{grader}' reads no answer in the gold response ")
    assert response[-20:] in message or not response.isprintable()
    assert "\n" not in message
    assert len(message) < 300


def test_how_many_more_is_told():
    problems = [Problem("q", "#### 1"), *[Problem("q", "72")] * 4]
    with pytest.raises(UserError, match=r"^f:2: .*'72', nor in 3 others of 5"):
        gold_answers(problems, graders.load("reference"), "f")


def test_readable_ones_are_what_the_grader_reads():
    problems = [Problem("q", "#### 1,000"), Problem("q", "so\n#### -2.5")]
    assert gold_answers(problems, graders.load("reference"), "f") == ["1000", "-2.5"]
