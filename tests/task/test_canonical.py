"""What does not count does not change the canonical name, and everything else does."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.canonical import MAX_CHARACTERS, MAX_STEPS, canonical
from tests.counted_calls import counted_calls

_NUMBERS = st.one_of(st.integers(0, 12).map(str), st.sampled_from(["2.5", "0.75", "20%"]))


@st.composite
def _sides(draw: st.DrawFn, depth: int = 2) -> tuple[str, str]:
    """An expression, and the same with operands of + and * swapped at random and numbers written otherwise."""
    if depth == 0 or draw(st.booleans()):
        number = draw(_NUMBERS)
        return number, draw(st.sampled_from([number, f"0{number}", f"({number})"]))
    operator = draw(st.sampled_from("+-*/"))
    left, other_left = draw(_sides(depth - 1))
    right, other_right = draw(_sides(depth - 1))
    if operator in "+*" and draw(st.booleans()):
        other_left, other_right = other_right, other_left
    return f"({left}){operator}({right})", f"({other_left}){operator}({other_right})"


@given(_sides(), st.integers(0, 30))
def test_commuted_operands_and_forms_of_numbers_do_not_count(sides: tuple[str, str], result: int) -> None:
    one, other = sides
    assert canonical(f"{one}={result}") == canonical(f"{other}={result}.0")


_STEPS = st.builds(
    lambda a, operator, b, c: f"{a}{operator}{b}={c}",
    st.integers(1, 6),
    st.sampled_from("+-*/"),
    st.integers(1, 6),
    st.integers(1, 9),
)


def _dependent(one: str, other: str) -> bool:
    """The definition, on steps of two operands: one uses the other's result."""
    (uses, result), (other_uses, other_result) = (
        (set(step.replace("-", "+").replace("*", "+").replace("/", "+").split("=")[0].split("+")), step.split("=")[1])
        for step in (one, other)
    )
    return result in other_uses or other_result in uses


@given(st.lists(_STEPS, min_size=2, max_size=8), st.randoms())
def test_the_order_of_independent_steps_does_not_count(steps: list[str], draw: random.Random) -> None:
    swapped = list(steps)
    for _ in range(20):
        place = draw.randrange(len(steps) - 1)
        if not _dependent(swapped[place], swapped[place + 1]):
            swapped[place : place + 2] = reversed(swapped[place : place + 2])
    assert canonical("|".join(swapped)) == canonical("|".join(steps))


def _orders(steps: tuple[str, ...]) -> set[tuple[str, ...]]:
    """All orders that swaps of independent neighbours reach."""
    seen, waiting = {steps}, [steps]
    while waiting:
        order = waiting.pop()
        for place in range(len(order) - 1):
            one, other = order[place : place + 2]
            new = (*order[:place], other, one, *order[place + 2 :])
            if new not in seen and not _dependent(one, other):
                seen.add(new)
                waiting.append(new)
    return seen


@given(st.lists(_STEPS.filter(lambda step: "+" not in step and "*" not in step), min_size=1, max_size=5), st.randoms())
def test_equal_names_are_equal_traces_and_the_name_is_the_smallest_order(steps: list[str], draw: random.Random) -> None:
    assert canonical("|".join(steps)) == "|".join(min(_orders(tuple(steps))))
    shuffled = draw.sample(steps, len(steps))
    same = tuple(shuffled) in _orders(tuple(steps))
    assert (canonical("|".join(shuffled)) == canonical("|".join(steps))) is same


@given(st.lists(st.one_of(_STEPS, _sides().map(lambda sides: f"{sides[1]}=5")), max_size=6).map("|".join))
def test_a_canonical_name_is_its_own(key: str) -> None:
    assert canonical(canonical(key)) == canonical(key)


@given(st.text(alphabet="0123456789.+-*/%^()=|x ", max_size=60))
def test_any_text_has_a_name_that_is_its_own(key: str) -> None:
    assert canonical(canonical(key)) == canonical(key)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("", ""),
        ("3*2=6|1+6=7", "2*3=6|1+6=7"),
        ("5*4=20|3*2=6|20+6=26", "2*3=6|4*5=20|20+6=26"),
        ("2+(3+1)=6", "1+2+3=6"),
        ("50*20%=10", "20%*50=10"),
        ("2**3=8", "2^3=8"),
        ("2.50*02=5.0", "2*2.5=5"),
        ("abc=3|1+1=2", "abc=3|1+1=2"),  # no arithmetic: stays, and everything stays before or behind it
    ],
)
def test_examples(key: str, name: str) -> None:
    assert canonical(key) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5-3=2", "3-5=2"),
        ("8/2=4", "2/8=4"),
        ("2^3=8", "3^2=8"),
        ("2*3=6", "2+3=6"),
        ("2*3=6", "2*3=7"),
        ("2*(3+4)=14", "2*3+4=14"),
        ("8/(4/2)=4", "8/4/2=4"),
        ("2+3=5|5*2=10", "5*2=10|2+3=5"),  # the second uses the first
        ("2+3=5", "2+3=5|2+3=5"),
        ("17%5=2", "17%*5=2"),
    ],
)
def test_other_differences_count(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "key",
    [
        "(" * 3_000,
        "-" * 3_000 + "1=1",
        "1" * 3_000,
        "=" * 3_000,
        "|" * (MAX_STEPS - 1),
        "9^" * 1_500,
        "|".join(["1+1=2"] * 63),
    ],
)
def test_the_work_on_hostile_keys_is_bounded(key: str) -> None:
    # Each character and each pair of steps a few calls.
    assert counted_calls(canonical, key) < 10 * (MAX_CHARACTERS + MAX_STEPS**2)


def test_a_list_of_too_many_steps_is_its_own_name() -> None:
    key = "|".join(["2*1=2"] * (MAX_STEPS + 1))
    assert canonical(key) == key
