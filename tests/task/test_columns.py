"""Any file of questions and answers: which fields are read, and which answers are understood, by flags alone."""

from fractions import Fraction

import pytest

from rft_jax.errors import UserError
from rft_jax.records.lines import LineError
from rft_jax.task import grader as graders
from rft_jax.task import task as tasks
from rft_jax.task.task import Reference
from tests.task.hub_forms import GSM_PLUS, GSM_SYMBOLIC, MATH


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("math", Reference("math")),
        ("math:ask,gold", Reference("math", ("ask", "gold"))),
        (":ask,work,gold", Reference("", ("ask", "work", "gold"))),
        ("/a/b.py", Reference("/a/b.py")),
        ("/a:1/b.py", Reference("/a:1/b.py")),
        ("/a:1/b.py:ask,gold", Reference("/a:1/b.py", ("ask", "gold"))),
        ('math:"the ask, in words",gold', Reference("math", ("the ask, in words", "gold"))),
    ],
)
def test_a_reference_says_which_task_and_which_fields(text, expected):
    assert Reference.parse(text) == expected
    assert Reference.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["math:", "math:ask", "math:a,b,c,d", "math:ask,", 'math:"ask,gold'])
def test_a_wrong_reference_is_told(text):
    with pytest.raises(UserError, match="task '"):
        tasks.load(text)


def test_the_named_fields_are_read_and_no_others():
    read = tasks.load("gsm8k:ask,gold").reader
    problem = read({"ask": "6 times 7?", "gold": 42, "question": "another", "answer": "#### 1"})
    assert (problem.question, problem.response) == ("6 times 7?", "42")
    assert read({"query": "as selected", "response": "#### 1"}).question == "as selected"
    with pytest.raises(LineError, match='needs the fields "ask" and "gold" or "query" and "response"'):
        read({"question": "6 times 7?", "answer": "42"})


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        ("Six sevens.", "Six sevens.\n#### 42"),
        ("Six sevens.\n#### 41", "Six sevens.\n#### 42"),  # the answer's field counts
        ("#### 41", "#### 42"),
        ("", "#### 42"),
    ],
)
def test_a_solution_ends_with_the_answer_of_its_own_field(solution, expected):
    read = tasks.load("gsm8k:ask,work,gold").reader
    assert read({"ask": "6 times 7?", "work": solution, "gold": 42}).response == expected


@pytest.mark.parametrize(
    ("reference", "grader", "rows", "expected"),
    [
        ("math", "boxed", MATH, [Fraction(5), Fraction(1, 2), "(x-1)(x+1)"]),
        ("gsm8k:question,solution,answer", "number_or_none", GSM_PLUS, [Fraction(53), Fraction(15, 2), "none"]),
        ("gsm8k", "robust", GSM_SYMBOLIC, [Fraction(7), Fraction(21), Fraction(7), Fraction(21)]),
        ("gsm8k:q,a", "robust", [{"q": "?", "a": "1,250"}, {"q": "?", "a": 0.5}], [Fraction(1250), Fraction(1, 2)]),
        ("math:q,a", "boxed", [{"q": "?", "a": "B"}, {"q": "?", "a": "\\boxed{\\text{(C)}}"}], ["B", "C"]),
    ],
)
def test_gold_answers_of_each_form(reference, grader, rows, expected):
    task = tasks.load(reference)
    assert [graders.load(grader).parse(task.reader(row).response) for row in rows] == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("She has 3 + 4 pens.\n#### 7", Fraction(7)),
        ("We cannot know.\n#### None", "none"),
        ("We cannot know.\n#### none.", "none"),
        (r"So it is \boxed{\text{None}}.", "none"),
        ("The answer is none.", "none"),
        ("None of the pens are hers, so it does not say.", None),
        ("The text does not give the number of pens.", None),
        ("It does not say, but with one pen\n#### 5", Fraction(5)),
    ],
)
def test_none_is_an_answer_where_it_is_said_as_the_final_one(response, expected):
    assert graders.load("number_or_none").parse(response) == expected
