"""Equations in plain text: what is one is found and checked, and what is none does no harm."""

import math
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.equations import ANNOTATED, PLAIN, find_equations
from tests.counted_calls import counted_calls
from tests.shared_data import read_jsonl, shared

_ANNOTATION = re.compile(r"<<[^>]*>>")

HOLD = [
    ("x1 = 3 + 4 = 7", "3+4=7"),
    ("- x1 = 3 + 4 = 7", "3+4=7"),
    ("   x1 = 3 + 4 = 7", "3+4=7"),
    ("2) x1 = 3 + 4 = 7", "3+4=7"),
    ("(2 + 1) x 3 = 9", "(2+1)*3=9"),
    ("35€ X 3€/game = 105€", "35*3=105"),
    ("48 / 2 = 24", "48/2=24"),
    ("$5 × 3 = $15", "5*3=15"),
    ("5*3=15", "5*3=15"),
    (r"\frac{1}{2} \cdot 8 = 4", "1/2*8=4"),
    (r"$\dfrac{1}{2} \times 8 = 4$", "1/2*8=4"),
    (r"8 \div \frac12 = 16", "8/(1/2)=16"),
    (r"\(\tfrac{3 + 5}{2} = 4\)", "((3+5)/2)=4"),
    (r"2 \cdot \left(3 + 4\right) = 14", "2*(3+4)=14"),
    (r"3\cdot 8 = \boxed{24}.", "3*8=24"),
    (r"\text{Cost} = 3 \text{ apples} \times \$2 = \$6", "3*2=6"),
    (r"5 \text{ hours} \times \$12/\text{hour} = \$60", "5*12=60"),
    (r"5 + 3 = \underline{8}", "5+3=8"),
    (r"12{,}000 + 500 = 12{,}500", "12000+500=12500"),
    (r"\begin{align*} 3+5 &= 8 \\ &= 2^3 \end{align*}", "3+5=8=2^3"),
    ("3 + 5\n= 8", "3+5=8"),
    ("2 * 3 + 4 = 6 + 4 = 10", "2*3+4=6+4=10"),
    ("20% of 50 = 10", "20%*50=10"),
    ("50 * 20% = 10", "50*20%=10"),
    ("12 / 48 = 25%", "12/48=25%"),
    ("12 / 48 * 100 = 25%", "12/48*100=25%"),
    ("100% - 35% = 65%", "100%-35%=65%"),
    ("20 minnows / 40% = 50 minnows", "20/40%=50"),
    ("1,200 + 34 = 1,234", "1200+34=1234"),
    ("3 000 * 2 = 6 000 grams", "3000*2=6000"),
    ("3 apples * 4 = 12 apples", "3*4=12"),
    ("5 hours x $12 = $60", "5*12=60"),
    ("3 days/week * 10 minutes/day = 30 minutes/week", "3*10=30"),
    ("It costs €5x3=€15.", "5*3=15"),
    ("Total = 5 + 3 = 8", "5+3=8"),
    ("So 3x4=12 and 5−2 = 3, then 2^3 = 8.", "3*4=12|5-2=3|2^3=8"),
    ("(5 + 3) * 2 = 16", "(5+3)*2=16"),
    ("(so 5 + 3 = 8)", "5+3=8"),
    ("2(3+4) = 14", "2*(3+4)=14"),
    ("5³ = 125", "5^3=125"),
    ("2½ × 4 = 10", "(2+1/2)*4=10"),
    ("2 1/2 hours * 4 = 10 hours", "(2+1/2)*4=10"),
    ("-5 + 8 = 3", "-5+8=3"),
    ("10 - 12 = -2", "10-12=-2"),
    ("- 5 + 3 = 8", "5+3=8"),
    ("1. 5 + 3 = 8", "5+3=8"),
    ("Step 1: 5 + 3 = 8", "5+3=8"),
    ("Step 1 - 5 + 3 = 8", "5+3=8"),
    ("**Total:** 5 * 3 = **15**", "5*3=15"),
    ("He pays 5 * 3 = 15 - so he keeps 5.", "5*3=15"),
    ("The bill of 5 friends = 75 + 15 = 90", "75+15=90"),
    ("5 * 3 = 15", "5*3=15"),  # no-break and thin spaces
    ("10/3 = 3.33", "10/3=3.33"),
    ("2/3 = 0.67", "2/3=0.67"),
    ("2/3 = 0.66", "2/3=0.66"),
    ("3 times 4 + 2 = 14", "3*4+2=14"),
    ("18-3-4 = 11 eggs * $2 = $22", "18-3-4=11|11*2=22"),  # a step that runs on from the result before
    ("5 + 3 = 8 * 2 = 16 - 4 = 12", "5+3=8|8*2=16|16-4=12"),
    ("7*60 = 420 + 23 = 443", "7*60=420|420+23=443"),
    ("10 / 3 = 3.33 * 2 = 6.66", "10/3=3.33|3.33*2=6.66"),
    ("2 + 3 = 1 + 4 = 5 * 2 = 10", "2+3=1+4=5|5*2=10"),
    ("48/2 = <<48/2=24>>24", "48/2=24"),  # once
    ("48/2 = 24, and <<1+1=2>>2", "1+1=2"),
]
FAIL = [
    "48 / 2 = 25",
    "$5 × 3 = $16",
    r"\frac{1}{2} \cdot 8 = 5",
    "2 * 3 + 4 = 6 + 4 = 11",
    "2 * 3 + 4 = 7 + 4 = 10",
    "18-3-4 = 11 eggs * $2 = $23",
    "18-3-4 = 12 eggs * $2 = $24",
    "5 + 3 = 8 * 2 = 17 - 4 = 13",
    "5 + 3 = 8 * 2",
    "5 = 5 * 2 = 10",
    "20% of 50 = 11",
    "3 apples * 4 = 13 apples",
    "Total = 5 + 3 = 9",
    "5 + 3 = 8 and 8 - 2 = 7",
    "8^2 = 10",
    "10/3 = 3.4",
    "2.5 * 1 = 2.4",
    "7/2 = 3",
    "for a total of 15 + 25 = 41 cups",
    "<<48/2=25>>",
]
LEFT_OUT = [
    "x + 3 = 8",
    "2x = 10",
    "2x + 3 = 13",
    "5A - 5 = 30",
    "x^2 + 3 = 12",
    "a_1 + 3 = 7",
    "D3 + 4 = 8",
    "x = 5",
    "Total = 8",
    "number of boys + number of girls = 30",
    "f(3) + 2 = 9",
    r"\sqrt{16} + 2 = 6",
    r"2\pi * 3 = 18.8",
    "|3 - 5| = 2",
    "5! / 3 = 40",
    "1 + 2 + ... + 9 + 10 = 55",
    "8:30 + 2 = 10:30",
    "1/0 = 5",
    "1e3 * 2 = 2000",
    "2 dozen * 3 = 72",
    "half of 20 + 5 = 15",
    "1 hour - 20 minutes = 40 minutes",
    "$5 - 50 cents = $4.50",
    "3 ft + 6 in = 3.5 ft",
    "25 / 1/3 = 75",
    "100/3 = 33 each, and 1 remains",
    "3 + 4 <= 8",
    "if x == 5 + 4:",
    "a = b = c",
    "=",
    "= 5 + 3",
    "5 + 3 =",
    "",
]


@pytest.mark.parametrize(("text", "key"), HOLD)
def test_equations_that_hold(text: str, key: str) -> None:
    assert PLAIN.key(text) == key
    assert PLAIN.name(text) == key
    assert PLAIN.find(text) == key.split("|")


@pytest.mark.parametrize("text", FAIL)
def test_equations_that_do_not_hold(text: str) -> None:
    assert PLAIN.key(text) is None
    assert PLAIN.name(text)


@pytest.mark.parametrize("text", LEFT_OUT)
def test_what_is_no_equation_of_numbers_is_left_out(text: str) -> None:
    assert PLAIN.find(text) == []
    assert PLAIN.key(text) == ""


@given(st.integers(1, 999), st.sampled_from("+-*"), st.integers(1, 999), st.integers(-2, 2), st.randoms())
def test_however_it_is_written_it_is_the_same_equation(
    left: int, sign: str, right: int, off: int, draw: random.Random
) -> None:
    result = {"+": left + right, "-": left - right, "*": left * right}[sign] + off
    glyph = draw.choice({"+": "+", "-": ["-", "−", "–"], "*": ["*", "×", "x", "·", r"\times", r"\cdot"]}[sign])
    unit = draw.choice(["", "", " apples", " pens"])
    before = draw.choice(["", "So she has ", "Total = ", "**Answer:** ", "\n", "She paid: "])
    currency = draw.choice(["", "$", "€"])
    space = " " if unit or glyph.startswith("\\") else draw.choice(["", " "])
    pieces = (f"{currency}{left:,}{unit}", glyph, f"{currency}{right}{unit}", "=", f"{currency}{result:,}")
    text = before + space.join(pieces)
    expected = f"{left}{sign}{right}={result}"
    assert PLAIN.name(text) == expected
    assert PLAIN.key(text) == (expected if off == 0 else None)


@pytest.mark.parametrize(
    "text",
    ["She has 10 - 2 = 8 apples - 3 pears.", "then 6*2 = 12 cups x 3", "So 10-2 = 8 eggs * 3", "5+3 = 8 dollars/3"],
)
def test_an_operator_behind_a_unit_belongs_to_the_equation(text: str) -> None:
    assert PLAIN.key(text) is None


@given(
    st.sampled_from(["", "So ", "She has $", "then 2 boxes, "]),
    st.sampled_from(["10-2", "6 * 2", "3 apples + 5", "(1+1)"]),
    st.sampled_from(["8", "12", "$8", "8.0", "9"]),
    st.sampled_from(["", " apples", " dollars", "%", " cups of tea"]),
    st.sampled_from(["", ".", " - 3", " - 3 pears", " x 3", "/3", " * $2 = $16", " = 8", ", so 4*2=8 eggs"]),
)
def test_the_key_is_the_name_or_none(start: str, left: str, right: str, unit: str, behind: str) -> None:
    """However a fast way reads a response, it says what reading every line says."""
    text = f"{start}{left} = {right}{unit}{behind}"
    assert PLAIN.name(text) == "|".join(PLAIN.find(text))
    assert PLAIN.key(text) in (PLAIN.name(text), None)


@given(st.integers(0, 10_000), st.integers(1, 999), st.integers(1, 4))
def test_a_rounded_or_cut_off_decimal_holds_and_the_next_one_does_not(above: int, below: int, decimals: int) -> None:
    unit = 10.0**-decimals
    value = above / below
    cut = math.floor(value / unit) * unit
    assert PLAIN.key(f"{above} / {below} = {value:.{decimals}f}") is not None
    if value - cut < 0.9 * unit:
        assert PLAIN.key(f"{above} / {below} = {cut:.{decimals}f}") is not None
    if unit > 2e-3:
        assert PLAIN.key(f"{above} / {below} = {value + 1.6 * unit:.{decimals}f}") is None


def _plain(text: str) -> str:
    return _ANNOTATION.sub("", text)


def test_the_text_of_gold_answers_holds_what_their_annotations_hold() -> None:
    """The annotations are the oracle; most that are not found are written otherwise in the text (50% for 50*.01)."""
    answers = [row["answer"] for row in read_jsonl(shared("data/gsm8k/train.jsonl"))]
    annotated = found = dropped = 0
    for answer in answers:
        plain = PLAIN.find(_plain(answer))
        sides = {f"{a}={b}" for text in plain for a in text.split("=") for b in text.split("=")}
        equations = [re.sub(r"\s", "", equation) for equation in find_equations(answer)]
        annotated += len(equations)
        found += sum(equation in sides for equation in equations)
        dropped += PLAIN.key(_plain(answer)) is None
    assert found > 0.94 * annotated
    assert dropped < 0.005 * len(answers)


def test_wrong_equations_of_a_model_are_found_without_annotations() -> None:
    responses = [row["response"] for row in read_jsonl(shared("data/released_model/greedy_fp32.jsonl"))]
    wrong = [response for response in responses if ANNOTATED.key(response) is None]
    assert sum(PLAIN.key(_plain(response)) is None for response in wrong) > 0.9 * len(wrong)


_PIECES = [
    *"0123456789+-*/^%()[]{}=.,:;!?|_$€&~\\<> \n\t'",
    *"xaé×÷−·½²…’１٣",
    *(r"\frac{", r"\frac12", r"\cdot ", r"\sqrt{", r"\text{", r"\\", r"\boxed{", r"\left(", "\\begin{"),
    *(" apples ", " of ", " and ", " per ", " times ", "20%", "1/2", "9**9**9", "10^400", "1e999", "0x1f", "1,000"),
    *("**", "<<", ">>", "__import__('os')"),
]


def _hostile(draw: random.Random) -> str:
    return "".join(draw.choices(_PIECES, k=draw.randint(1, 40)))


@given(st.randoms(use_true_random=False))
def test_hostile_texts_do_no_harm(draw: random.Random) -> None:
    text = _hostile(draw)
    key = PLAIN.key(text)
    assert key is None or key == PLAIN.name(text)


@pytest.mark.slow
def test_many_hostile_texts_do_no_harm() -> None:
    draw = random.Random(0)
    for _ in range(100_000):
        text = _hostile(draw)
        key = PLAIN.key(text)
        assert key is None or key == PLAIN.name(text)


_REPEATED = [
    *(*_PIECES, "1 ", "a ", "1 a ", "1+", "1=", "1+1=2 a ", "1 a = ", "(1", "1)", r"\frac{1}{", r"\\ ", "\n ", "\n&"),
    *("^ ", "1-", "1/1 ", "1 ab ", "1 ab/", "ab/"),
]


@pytest.mark.parametrize("piece", _REPEATED)
@pytest.mark.parametrize("frame", ["{}", "1+1={}=2"])
def test_the_work_is_linear(piece: str, frame: str) -> None:
    short, long = (frame.format(piece * (length // len(piece))) for length in (3_000, 6_000))
    assert counted_calls(PLAIN.key, long) <= 2.1 * counted_calls(PLAIN.key, short) + 100
    # What a pattern does inside is not counted: one that backtracks without bound would not come back from this.
    text = frame.format(piece * (20_000 // len(piece)))
    key = PLAIN.key(text)
    assert key is None or key == PLAIN.name(text)
