"""Whether an equation holds, against Python's exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.agreement import holds

_DECIMALS = st.decimals(0, 99, places=2).map(str)
_NUMBERS = st.one_of(st.integers(0, 999).map(str), _DECIMALS, st.sampled_from([".5", "007"]))
_TERMS = st.lists(st.tuples(st.sampled_from("+-*/"), _NUMBERS), min_size=1, max_size=6)


@given(_NUMBERS, _TERMS, st.sampled_from([-1, 0, 0, 1]), st.booleans())
def test_a_right_result_holds_and_a_wrong_one_does_not(
    first: str, terms: list[tuple[str, str]], off: int, in_brackets: bool
) -> None:
    """Without brackets the operands are taken from left to right, with brackets the parser reads them: one value."""
    side = first + "".join(sign + number for sign, number in terms)
    total, term = Fraction(), Fraction(first)
    largest = abs(term)
    try:
        for sign, number in terms:
            value = Fraction(number)
            if sign in "+-":
                total, term = total + term, value if sign == "+" else -value
            else:
                term = term * value if sign == "*" else term / value
            largest = max(largest, abs(term))
    except ZeroDivisionError:
        assert holds(f"{side}=1") is None
        return
    exact = total + term
    if largest < 1e9:  # what floats tell apart at six decimals
        assert holds(f"{f'({side})' if in_brackets else side}={float(exact + off):.6f}") is (off == 0)


@given(st.integers(0, 100), st.integers(1, 500), st.integers(1, 50))
def test_a_percentage_is_a_hundredth(percent: int, of: int, plus: int) -> None:
    for side in (f"{percent}%*{of}+{plus}", f"({percent}%)*{of}+{plus}"):
        assert holds(f"{side}={percent * of / 100 + plus:.4f}")
        assert not holds(f"{side}={percent * of / 100 + plus + 1:.4f}")


@pytest.mark.parametrize(
    ("equation", "verdict"),
    [
        ("100%-35=65", True),
        ("12/48=25%", True),
        ("12/48*100=25%", True),
        ("10/3=3.33=3.34", False),
        ("1/0=5", None),
        ("1+1=3=1/0", False),
        ("2*-3=-6", True),
        ("*5=0", None),
        ("17%5=2", True),
        ("9" * 400 + "=1", None),
        ("1+1=" + "9" * 400, None),
        ("40/15=2." + "6" * 2_000, True),
        ("1" * 5_000 + "-1=0", None),
        ("abc=3", None),
    ],
)
def test_examples(equation: str, verdict: bool | None) -> None:
    assert holds(equation) is verdict
