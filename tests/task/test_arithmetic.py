"""The arithmetic parser agrees with Python's own, and nothing can hang it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rft_jax.task import arithmetic
from rft_jax.task.arithmetic import MAX_BITS, MAX_CHARACTERS, MAX_NESTING, NoValueError, Number, evaluate

_LITERALS = [
    "0",
    "1",
    "2",
    "7",
    "10",
    "003",
    "08",
    "1_000",
    "1__0",
    "3.5",
    ".5",
    "1.",
    "1e2",
    "2E-1",
    "0x1f",
    "0b11",
    "5j",
    "1e",
]
_PIECES = [*_LITERALS, *"+-*/%()~^&|,= \t\n\r", "//", "<<", "#", "_", "*"]


def python_value(text: str) -> Number | None:
    """What Python says. The texts are made of the pieces above: no names, and no tower of powers."""
    try:
        value = eval(text, {"__builtins__": {}})
    except Exception:
        return None
    return value if type(value) in (int, float) else None


def our_value(text: str) -> Number | None:
    try:
        return evaluate(text)
    except NoValueError:
        return None


def same(ours: Number | None, pythons: Number | None) -> bool:
    return type(ours) is type(pythons) and (ours == pythons or (ours != ours and pythons != pythons))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Well-formed expressions of every operator, with brackets and spaces at random."""
    numbers = st.one_of(st.integers(0, 200).map(str), st.floats(0, 1e6).map(repr), st.sampled_from(_LITERALS[:5]))
    text = draw(numbers)
    powers = 0
    for _ in range(draw(st.integers(0, 7))):
        operator = draw(st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "&", "|", "^"]))
        powers += operator == "**"
        if powers > 1 and operator == "**":
            operator = "*"
        other = draw(st.sampled_from(["", "-", "+", "--"])) + (
            draw(st.integers(0, 9)).__str__() if operator == "**" else draw(numbers)
        )
        space = draw(st.sampled_from(["", " "]))
        text = f"{text}{space}{operator}{space}{other}"
        shape = draw(st.integers(0, 3))
        text = f"({text})" if shape == 0 else f"-{text}" if shape == 1 else text
    return text


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@given(expressions())
@example("-2**2")
@example("2**-1")
@example("2**-1**2")
@example("-7//2")
@example("-7%3")
@example("7.5%-2")
@example("10**400//10**399")
@example("(-8)**(1/3)")
@example("0**-1")
@example("1e308*10")
def test_agrees_with_python_on_expressions(text: str) -> None:
    assert same(our_value(text), python_value(text))


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@given(
    st.lists(st.sampled_from(_PIECES), max_size=10)
    .map("".join)
    .filter(lambda text: text.count("**") + text.count("<<") < 2)
)
@example("5(3)")
@example("1_000+007")
@example("5 # five")
@example("5\n")
@example("5\n 6")
@example("1,000")
@example("()")
def test_agrees_with_python_on_any_row_of_tokens(text: str) -> None:
    assert same(our_value(text), python_value(text))


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9",
        "9**9**9**9",
        "2**" * 300 + "2",
        "(" * 500_000,
        "(" * 300 + "5" + ")" * 300,
        "-" * 100_000 + "5",
        "9" * 1_000_000,
        "0x" + "f" * 3_000,
        "1<<99999999999",
        "1<<1<<9999999",
        "7**8000//7**7999",
        "*".join(["9" * 90] * 40),
        "__import__('os').system('true')",
        "().__class__",
        "abs(5)",
        "'5'",
        "True",
        "5 if 1 else 2",
        "[5][0]",
        "5\0",
        "5\ud800",
        "٣+٤",
        "５",
        "\ufeff5",
        "{0.__class__}",
        "%s%n",
        "",
        " ",
    ],
)
def test_has_no_value(text: str) -> None:
    assert our_value(text) is None


def test_nests_as_deep_as_it_says() -> None:
    assert evaluate("(" * MAX_NESTING + "5" + ")" * MAX_NESTING) == 5
    assert our_value("(" * (MAX_NESTING + 1) + "5" + ")" * (MAX_NESTING + 1)) is None


def test_no_integer_on_the_way_is_larger_than_the_bound(monkeypatch) -> None:
    """So the worst text within the bounds takes milliseconds."""
    largest = 0
    bounded = arithmetic._bounded

    def watched(value: object) -> Number:
        nonlocal largest
        if isinstance(value, int):
            largest = max(largest, value.bit_length())
        return bounded(value)

    monkeypatch.setattr(arithmetic, "_bounded", watched)
    our_value(("9**2500//" * (MAX_CHARACTERS // 9))[: MAX_CHARACTERS - 3] + "+1")
    our_value("1<<8000" + "*1" * 400)
    our_value("*".join(["9" * 90] * 11))
    our_value("9**9**9**9")
    our_value("1<<99999999999")
    assert MAX_BITS // 2 < largest <= 2 * MAX_BITS  # the product of two that are within it
