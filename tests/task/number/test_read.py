"""A number is read wholly or not at all."""

import sys
import unicodedata
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rft_jax.task.number.read import read_number
from tests.task.number.cases import CASES

ROWS = [(kind, text, value) for kind, rows in CASES.items() for text, value in rows.items()]
CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1)]


@pytest.mark.parametrize(("kind", "text", "value"), ROWS)
def test_every_kind(kind: str, text: str, value: str | None) -> None:
    assert read_number(text) == (None if value is None else Fraction(value)), kind


# What may stand around a number without a change of its value.
AROUND = [
    "{}", "{}.", " {} ", "${}", "{}%", "{} apples", "{} km/h", "${}/month", "**{}**", "`{}`", "${}$", "({})",
    "\\boxed{{{}}}", "The answer is {}.", "x = {}", "10 + 5 = {}", "answer: {} m^2", "{}</s>", "\\text{{so }} {}",
]  # fmt: skip
# What makes two numbers another thing than the first.
BETWEEN = [
    "-", " - ", "–", "+", " + ", "*", " x ", "x", "×", "÷", "^", "**", ":", " to ", " or ", " and ", ", ", "; ", "~",
    "h", " apples and ", " hours ", "'", " <", "±", "%", "°", " $", "(", "=x+", "e.", "/x/",
]  # fmt: skip


@given(st.decimals(-(10**9), 10**9, places=3), st.sampled_from(AROUND))
def test_any_decimal_is_read_exactly(number, around) -> None:
    for spelling in (f"{number}", f"{number:,}", f"{number:,}".replace(",", " "), f"{number:,}".replace(",", "_")):
        assert read_number(around.format(spelling)) == Fraction(number), spelling


@given(st.builds("{:.6f}e{:+03d}".format, st.floats(-10, 10), st.integers(-99, 99)))
def test_scientific_notation_is_fractions(text) -> None:
    mantissa, exponent = text.split("e")
    for spelling in (text, f"{mantissa} × 10^{int(exponent)}", f"{mantissa}*10**{int(exponent)}"):
        assert read_number(spelling) == Fraction(text)


@given(st.integers(0, 10**6), st.sampled_from(BETWEEN), st.integers(2, 99), st.sampled_from(AROUND))
def test_never_the_beginning_of_something_longer(first, between, second, around) -> None:
    assume(first != 10 or between not in {"^", "**"})  # 10^2 is a power of ten
    assert read_number(around.format(f"{first}{between}{second}")) is None


@pytest.mark.parametrize("zero", [character for character in CHARACTERS if unicodedata.decimal(character, None) == 0])
def test_digits_of_every_script(zero) -> None:
    text = "".join(chr(ord(zero) + digit) for digit in (1, 2, 0, 8))
    assert int(text) == 1208
    assert read_number(text) == 1208


@pytest.mark.parametrize(
    "character", [one for one in CHARACTERS if unicodedata.decomposition(one).startswith("<fraction>") and one != "⅟"]
)
def test_every_fraction_of_unicode(character) -> None:
    value = Fraction(unicodedata.numeric(character)).limit_denominator(10)
    assert read_number(character) == value
    if value:
        assert read_number(f"2{character}") == 2 + value


@given(st.text(st.characters(), max_size=30), st.text(st.characters(), max_size=30))
def test_any_text_returns(before, behind) -> None:
    read_number(before + "18" + behind)


def test_every_character_beside_a_number_returns_it_or_nothing() -> None:
    beside = [character for character in CHARACTERS[:0x3100] if not character.isnumeric()]
    assert {read_number(f"18{character}") for character in beside} == {18, 18_000, None}
