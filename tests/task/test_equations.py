"""Equations are found as the reference finds them and hold where it says so."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task.equations import ANNOTATED, REFERENCE, all_hold, equation_list, find_equations, holds
from tests.shared_data import read_jsonl, shared


@given(st.text(alphabet="<>=1a\n ", max_size=40))
def test_finds_what_the_pattern_of_the_reference_finds(text: str) -> None:
    assert find_equations(text) == re.findall(r"<<([^>]*)>>", text)


@pytest.mark.parametrize("text", ["<" * 10**6, "<<" * 10**6 + ">", "<<>" * 10**6, "<< >" * 10**6, "<<1=1>>" * 10**5])
def test_megabytes_are_read_once(text: str) -> None:
    """A pattern that began anew at each `<<` would not end in this suite's time."""
    found = find_equations(text)
    assert sum(map(len, found)) <= len(text)
    assert all_hold(found) == all(equation == "1=1" for equation in found)


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("48/2=24", True),
        ("48/2=25", False),
        ("1/3=0.333", True),  # within 1e-3
        ("1/3=0.33", False),
        ("1/2=0.501", False),  # 1e-3 itself is too much
        ("5*2=10=0", True),  # only the first two parts count
        ("5=10/2", False),  # the right side is read by float(), not evaluated
        ("5*8 = 40 ", True),
        ("1 0 * 2=20", False),
        ("20%*5=1", False),
        ("3x9=27", False),
        ("$5+3=8", False),
        ("1,000+1=1001", False),
        ("5(3)=15", False),
        ("5/0=0", False),
        ("5", False),
        ("", False),
        ("=", False),
        ("5=", False),
        ("=5", False),
        ("1e400=inf", False),
        ("5=nan", False),
        ("10**400=1", False),  # too large for a float
        ("05+1=6", False),  # leading zeros are a syntax error in Python
        ("05.0+1=6", True),
        ("1_000+1=1_001", True),
        ("rhs=5", False),  # a local variable of the reference's function
    ],
)
def test_holds(equation: str, expected: bool) -> None:
    assert holds(equation) is expected


def test_a_path_without_equations_passes() -> None:
    assert all_hold([])
    assert equation_list([]) == ""


def test_the_list_keeps_order_and_form() -> None:
    assert equation_list([" 5*2 = 10", "1+1=2"]) == "5*2=10|1+1=2"
    assert len({equation_list([text]) for text in ("5*2=10", "2*5=10", "5*2=10.0")}) == 3


def test_all_gold_answers_hold() -> None:
    answers = [row["answer"] for row in read_jsonl(shared("data/gsm8k/train.jsonl"))]
    assert len(answers) == 7_473
    assert all(all_hold(find_equations(answer)) for answer in answers)
    assert sum(not find_equations(answer) for answer in answers) == 95


def test_a_caret_is_power_but_for_the_reference() -> None:
    assert ANNOTATED.key("<<8^2=64>>") == "8^2=64"
    assert ANNOTATED.key("<<8^2=10>>") is None
    assert REFERENCE.key("<<8^2=10>>") == "8^2=10"
    assert REFERENCE.key("<<8^2=64>>") is None


@pytest.mark.parametrize("space", [" ", "\t", "\n", "\u00a0", "\u2009", "\u202f", "\u3000", "\u200b", "\ufeff"])
def test_no_kind_of_space_makes_another_list(space: str) -> None:
    text = f"<<5{space}*{space}2={space}10>>"
    assert ANNOTATED.name(text) == ANNOTATED.key(text) == "5*2=10"


def test_spaces_do_not_join_numbers() -> None:
    assert ANNOTATED.key("<<1\u00a00 * 2=20>>") is None


@given(st.lists(st.text(alphabet="0123456789.+-*/%()= ", max_size=12), max_size=4))
def test_without_carets_and_odd_spaces_the_two_are_the_same(equations: list[str]) -> None:
    text = " and ".join(f"<<{equation}>>" for equation in equations)
    assert ANNOTATED.find(text) == REFERENCE.find(text)
    assert ANNOTATED.key(text) == REFERENCE.key(text)
    assert ANNOTATED.name(text) == REFERENCE.name(text)


def test_the_two_are_the_same_on_the_golden_set() -> None:
    responses = [row["response"] for row in read_jsonl(shared("golden/selector/paths.jsonl"))]
    assert len(responses) == 14_400
    assert list(map(ANNOTATED.key, responses)) == list(map(REFERENCE.key, responses))
    assert list(map(ANNOTATED.name, responses)) == list(map(REFERENCE.name, responses))
