r"""The grader of LaTeX answers: what is equal, against math-verify's comparison and sympy's printer."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("math_verify", reason="the grader `latex` is an extra: pip install 'rft-jax[latex]'")

import math_verify
import sympy

from rft_jax.select.workers import ordered_map
from rft_jax.task.answer_text import MAX_CHARACTERS
from rft_jax.task.grader import load
from tests.task.latex_pairs import EQUAL_IN_MEANING, EQUAL_IN_WRITING, NOT_AS_THE_LIBRARY, UNEQUAL
from tests.task.test_boxed import PIECES, boxed

PAIRS = [(*pair, True) for pair in EQUAL_IN_WRITING + EQUAL_IN_MEANING] + [(*pair, False) for pair in UNEQUAL]
GRADER = load("latex")


@pytest.fixture(scope="module", autouse=True)
def _no_worker_stays() -> Iterator[None]:
    yield
    GRADER.stop()


def equal(left: str, right: str) -> bool:
    answers = GRADER.parse(boxed(left)), GRADER.parse(boxed(right))
    assert None not in answers
    assert GRADER.equal(*answers) == GRADER.equal(*answers[::-1]) == GRADER.equal_in_selection(*answers)
    return GRADER.equal(*answers)


def test_there_are_at_least_sixty_pairs() -> None:
    assert len(PAIRS) >= 60
    assert {kind for *_, kind in PAIRS} == {True, False}


@pytest.mark.parametrize(("left", "right", "expected"), PAIRS)
def test_pairs(left: str, right: str, expected: bool) -> None:
    assert equal(left, right) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right", "expected"), PAIRS)
def test_the_library_compares_alike(left: str, right: str, expected: bool) -> None:
    parsed = math_verify.parse(boxed(left)), math_verify.parse(boxed(right))
    # Its comparison is not symmetric: an inequality as the gold answer equals an interval, but not the other way round.
    theirs = math_verify.verify(*parsed) or math_verify.verify(*parsed[::-1])
    assert theirs == (expected != ((left, right) in NOT_AS_THE_LIBRARY))


@pytest.mark.parametrize(
    "answers", [["0.5", r"\frac24", "1/2"], ["(x+1)^2", "x^2+2x+1", "(1+x)(x+1)"], ["x=5", "5", "5.0"]]
)
def test_equal_answers_are_equal_values(answers: list[str]) -> None:
    assert len({GRADER.parse(boxed(answer)) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=5", "y=6"),
        (r"\frac{1}{3}", "0.333333333333333"),
        ("10^{40}", "10^{40}+1"),
        ("2t", "2"),  # a unit to the library
        ("2A", "2a"),  # one letter to the library
        ("101_2", "101"),
        (r"\sqrt{x^2}", "x"),  # x may be negative
        (r"\ln 4", r"\log_{10} 4"),
        (r"10\text{ a.m.}", r"10\text{ p.m.}"),
        (r"\mathbb{Z}", r"\mathbb{N}"),
        ("x < y", "x > y"),
    ],
)
def test_what_is_not_equal(text: str, expected: str) -> None:
    assert not equal(text, expected)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("y = 2x", "2x"),
        (r"f^{-1}(x) = \frac{x-3}{2}", r"\frac{x-3}{2}"),
        ("x^2 + y^2 = 4", "4 - x^2 = y^2"),
        ("x = 2, y = 3", "(2,3)"),
        (r"x \le -2 \text{ or } x \ge 2", r"(-\infty, -2] \cup [2, \infty)"),
        (r"x^2 \ge 4", r"(-\infty, -2] \cup [2, \infty)"),
        (r"\{x \mid x > 2\}", r"(2,\infty)"),
        ("x < y", "2y > 2x"),
        (r"\sum_{k=1}^{10} k", "55"),
        (r"\sin 2x", r"2 \sin x \cos x"),
        (r"\sqrt{5+2\sqrt6}", r"\sqrt2+\sqrt3"),
        ("e^{i \\pi}", "-1"),
        ("10!", "3628800"),
        (r"\text{Monday}, \text{Friday}", r"\text{Monday}, \text{Friday}"),
        (r"\triangle ABC", r"\triangle ABC"),
        ("]1,2[", "]1,2["),  # the library cannot read it
    ],
)
def test_what_is_equal(left: str, right: str) -> None:
    assert equal(left, right)


def test_an_answer_of_two_readings_votes_with_both() -> None:
    answers = [GRADER.parse(boxed(answer)) for answer in ["7", "7", "50", r"50\%", "0.5", "0.5", "7"]]
    winner = GRADER.vote([None, *answers])
    assert winner == GRADER.parse(boxed(r"50\%"))  # the percentage, 50, and twice 0.5
    assert str(winner) == "50"
    assert GRADER.vote([]) is GRADER.vote([None]) is None


def test_no_answer() -> None:
    assert GRADER.parse("I do not know what to say about this problem of yours.") is None
    assert GRADER.parse(boxed("")) is None


@pytest.mark.slow
def test_works_in_the_processes_of_a_selection() -> None:
    answers = [left for left, *_ in PAIRS[::6]]
    with ordered_map(2) as run:
        assert list(run(form, answers)) == [form(answer) for answer in answers]


def form(answer: str) -> str:
    """Returns an answer's canonical form, in whatever process."""
    return load("latex").parse(boxed(answer)).form


@pytest.mark.slow
def test_what_sympy_prints_is_equal_whatever_form_it_takes() -> None:
    x, y = sympy.symbols("x y")
    source = random.Random(0)

    def expression(depth: int) -> sympy.Expr:
        if depth == 0:
            return source.choice(
                [x, y, sympy.Integer(source.randint(1, 9)), sympy.Rational(1, 3), sympy.sqrt(2), sympy.pi]
            )
        left, right = expression(depth - 1), expression(depth - 1)
        return source.choice([left + right, left - right, left * right, left**2, left / (right**2 + 1)])

    expressions = [expression(2) for _ in range(25)]
    for one in expressions:
        for other in (sympy.expand(one), sympy.factor(one), sympy.together(one)):
            assert equal(sympy.latex(one), sympy.latex(other)), (one, other)
        assert not equal(sympy.latex(one), sympy.latex(one + 1))
    for one, other in itertools.pairwise(expressions):
        assert equal(sympy.latex(one), sympy.latex(other)) == (sympy.simplify(one - other) == 0)


def test_nothing_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"__import__('pathlib').Path('{trace}').touch()"
    for answer in (code, f"\\text{{{code}}}", f"1+{code}", f"\\frac{{{code}}}{{2}}", f"{{{code}}}", f"f({code})"):
        GRADER.parse(boxed(answer))
    assert not trace.exists()


@pytest.mark.slow
def test_hostile_texts() -> None:
    source = random.Random(1)
    for _ in range(300):
        GRADER.parse(boxed("".join(source.choices(PIECES, k=source.randrange(30)))))
    for piece in ("(", "-", "x", "\\{"):  # the library takes long for some, and is killed
        GRADER.parse(boxed(piece * (MAX_CHARACTERS // len(piece))))
    assert equal("x+1", "1+x")  # still there
