"""Expressions: the written text has the computed value."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.task import arithmetic
from rft_jax.world.expression import Number, Operation, commuted, compute, parse, substitute, variables, write

numbers = st.builds(Number, st.integers(1, 40))
expressions = st.recursive(
    numbers, lambda inner: st.builds(Operation, st.sampled_from("+-*/"), inner, inner), max_leaves=6
)


def value_or_none(expression):
    try:
        return compute(expression)
    except ArithmeticError:
        return None


@given(expressions)
def test_text_has_the_computed_value(expression):
    value = value_or_none(expression)
    if value is not None:
        assert arithmetic.evaluate(write(expression)) == value


@given(expressions, st.integers())
def test_commuting_keeps_the_value(expression, seed):
    assert value_or_none(commuted(expression, random.Random(seed))) == value_or_none(expression)


def test_commuting_reaches_both_orders():
    texts = {write(commuted(parse("a*b+c"), random.Random(seed))) for seed in range(50)}
    assert texts == {"a*b+c", "b*a+c", "c+a*b", "c+b*a"}


def test_substitution_keeps_the_grouping():
    inner = parse("a+b")
    assert write(substitute(parse("n-u"), {"u": inner})) == "n-(a+b)"
    assert write(substitute(parse("u*k"), {"u": inner})) == "(a+b)*k"
    assert write(substitute(parse("u+k"), {"u": inner})) == "a+b+k"
    assert variables(substitute(parse("u*u"), {"u": inner})) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("text", ["a**b", "f(a)", "1.5"])
def test_only_the_worlds_expressions_are_read(text):
    with pytest.raises((ValueError, KeyError)):
        parse(text)
