r"""The grader of boxed answers: where an answer stands, and one way of writing it."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.answer_text import MAX_CHARACTERS, answer_text
from rft_jax.task.grader import load
from tests.task.latex_pairs import EQUAL_IN_WRITING, UNEQUAL

GRADER = load("boxed")

WRITTEN = r"""
    0 1 12 1,200 .5 a x = + - / ^ _ { } ( ) [ ] | , . : ; $ % \ \\ \% \$ \! \, \{ \} ½ ² √ π 𝟙 ٣ − & #### **
    \frac \frac12 \dfrac{1}{2} \sqrt \text{ \text{cm} \boxed{ \boxed \fbox{ \left( \right) {,} \circ ^\circ \pm \in
    \overline{ \times 10^{9999} \begin{pmatrix} \end{pmatrix} \cup \infty \mid
"""
PIECES = [
    *WRITTEN.split(),
    *["the answer is ", "Answer: ", " ", "\n", "\0", "\ud800", "\u2028", "__import__('os').system('false')", "9" * 500],
]


def boxed(answer: str) -> str:
    return f"so it is \\boxed{{{answer}}}."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{1}, no: \boxed{2}.", "2"),
        (r"$\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),  # escaped braces need no partner
        (r"\fbox{7}", "7"),
        (r"$\boxed 5$", "5"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{12", None),  # cut by the token limit
        (r"\boxed{}", None),
        (r"\boxed", None),
        (r"\boxed{5} #### 6", "5"),
        ("She has 5.\n#### 18 apples\n", "18 apples"),
        ("first #### 1\n#### 2", "2"),
        (r"Thus the answer is $\frac{3}{4}$ of it.", r"\frac{3}{4}"),
        ("The final answer is: **12**", "12"),
        (r"\frac{3}{4}", r"\frac{3}{4}"),
        ("Tuesday", "Tuesday"),
        ("We know that 5 and 6 are the two numbers, so we add them.", None),
        ("", None),
        (boxed("1" * (MAX_CHARACTERS + 1)), None),
    ],
)
def test_the_answer_is_found(text: str, expected: str | None) -> None:
    assert answer_text(text) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (r"\frac{1}{2}", Fraction(1, 2)),
        (r"\dfrac12", Fraction(1, 2)),
        (r"\frac1{2}", Fraction(1, 2)),
        (r"-\tfrac{3}{4}", Fraction(-3, 4)),
        (r"\frac{-3}{4}", Fraction(-3, 4)),
        ("½", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("6/8", Fraction(3, 4)),
        ("2 1/3", Fraction(7, 3)),
        (r"-2\frac13", Fraction(-7, 3)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"1,\!200", Fraction(1200)),
        (r"\$1{,}200.50", Fraction(2401, 2)),
        (r"1.5 \times 10^{-3}", Fraction(3, 2000)),
        (r"12.5\%", Fraction(25, 2)),
        (r"90^{\circ}", Fraction(90)),
        (r"12\text{ cm}^2", Fraction(12)),
        ("12 square units", Fraction(12)),
        ("x = 5", Fraction(5)),
        (r"\text{(B)}", "B"),
        (r"\text{Yes}", "yes"),
        (r"\left( 1,\, 2 \right)", "(1,2)"),
        (r"\frac{1}{0}", r"\frac{1}{0}"),
        ("5:30", "5:30"),
        ("1,20", "1,20"),
    ],
)
def test_the_answer_is_read(answer: str, expected: Fraction | str) -> None:
    assert GRADER.parse(boxed(answer)) == expected


@pytest.mark.parametrize("pair", EQUAL_IN_WRITING)
def test_ways_to_write_an_answer_are_equal(pair: tuple[str, str]) -> None:
    assert GRADER.parse(boxed(pair[0])) == GRADER.parse(boxed(pair[1]))


@pytest.mark.parametrize("pair", UNEQUAL)
def test_unequal_answers_are_never_equal(pair: tuple[str, str]) -> None:
    assert GRADER.parse(boxed(pair[0])) != GRADER.parse(boxed(pair[1]))


@given(
    value=st.fractions(max_denominator=10**6),
    before=st.sampled_from(["", "$", r"\(", "x = ", r"\left. ", r"\$", " "]),
    after=st.sampled_from(["", ".", r"\%", r"\text{ cm}", r"^\circ", r"\,", " miles per hour"]),
    write=st.sampled_from([r"\frac{%d}{%d}", r"\dfrac{ %d }{ %d}", "%d/%d", r"\tfrac {%d} {%d}"]),
)
def test_a_fraction_is_itself_however_it_is_written(value: Fraction, before: str, after: str, write: str) -> None:
    sign = "-" if value < 0 else ""
    written = before + sign + write % (abs(value.numerator), value.denominator) + after
    assert GRADER.parse(boxed(written)) == value


@given(value=st.decimals(places=3, allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_a_decimal_is_exact_with_and_without_commas(value) -> None:
    assert GRADER.parse(boxed(f"{value:f}")) == GRADER.parse(boxed(f"{value:,f}")) == Fraction(value)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text())
def test_any_text_has_an_answer_or_none(text: str) -> None:
    first = GRADER.parse(text)
    assert isinstance(first, Fraction | str | None)
    assert first != ""
    assert GRADER.parse(text) == first


@given(st.text(alphabet="{}\\ab", max_size=40))
def test_what_a_box_holds_has_matched_braces(text: str) -> None:
    found = answer_text(boxed(text))
    if found is not None:
        depth, escaped = 0, False
        for character in found:
            depth += 0 if escaped else (character == "{") - (character == "}")
            escaped = character == "\\" and not escaped
            assert depth >= 0
        assert depth == 0


@pytest.mark.slow
def test_a_hundred_thousand_hostile_texts() -> None:
    source = random.Random(0)
    for _ in range(100_000):
        GRADER.parse("".join(source.choices(PIECES, k=source.randrange(80))))


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_text_is_read_in_one_pass(piece: str) -> None:
    # What is not linear takes hours here.
    GRADER.parse(piece * (300_000 // len(piece)))
    GRADER.parse(boxed(piece * (MAX_CHARACTERS // len(piece))))
    GRADER.parse("\\boxed{" * 100_000 + piece)
