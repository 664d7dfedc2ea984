"""When the two sides of an equation that was written by hand agree.

The sides agree when they differ by less than `TOLERANCE`, or when one of them is a number with decimals that is the
other side rounded or cut off at its last decimal: `10/3 = 3.33`, `2/3 = 0.66`, `2/3 = 0.67`. A whole number is not
taken for a rounded one (`7/2 = 3` does not hold).

A percentage is a hundredth (`20%*50 = 10`, `12/48 = 25%`), or where only sums and quotients are taken, its own unit
(`100% - 35 = 65`); a result in percent may leave out the factor 100 (`12/48*100 = 25%`).
"""

import math
import operator
import re

from rft_jax.task import arithmetic

# How far the two sides of an equation may differ; the reference's constant (0.333 * 3 = 1 is meant to pass).
TOLERANCE = 1e-3

# A percent sign before an operand is Python's modulo.
_PERCENT = re.compile(r"([0-9.]*)%(?![0-9.(])")
_LEADING_ZEROS = re.compile(r"(?<![0-9.])0+(?=[0-9])")
_TWO_NUMBERS = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)([-+*/])([0-9]+(?:\.[0-9]+)?|\.[0-9]+)")
_APPLY = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_NUMBER_ALONE = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_NUMBER = re.compile(r"-?[0-9]*(?:\.([0-9]+))?(%?)")


class UndefinedError(Exception):
    """A side has no value."""


def agree(left: str, right: str) -> bool:
    """Tells whether two sides, in the normal form of `plain_equations`, have the same value.

    Args:
        left, right: expressions; `^` is power, a `%` behind an operand is percent.

    Raises:
        UndefinedError: a side has no finite value.
    """
    if "%" not in left and "%" not in right:
        return _same(left, _value(left), right, _value(right), 1)
    first, second = (_value(_PERCENT.sub(_hundredths, side)) for side in (left, right))
    if _same(left, first, right, second, 0.01):
        return True
    if "100%" in left and "%" not in right and _same(left, 100 * first, right, second, 1):
        return True
    if "%" not in left and _same(left, first, right, 100 * second, 1):
        return True
    if "*" in left + right:
        return False
    first, second = (_value(_PERCENT.sub(r"\1", side)) for side in (left, right))
    return _same(left, first, right, second, 1)


def _same(left: str, first: float, right: str, second: float, percent: float) -> bool:
    """Tells whether values agree, given how they are written and what a percent sign is worth."""
    return (
        abs(first - second) < TOLERANCE
        or _is_rounded(first, second, _unit(right, percent))
        or _is_rounded(second, first, _unit(left, percent))
    )


def _hundredths(match: re.Match[str]) -> str:
    return f"({match[1]}/100)" if match[1] else "/100"  # behind a bracket


def _value(side: str) -> float:
    if side.isdigit() and len(side) < 300:  # a float
        return float(side)
    try:
        match = _TWO_NUMBERS.fullmatch(side)  # most are; this saves the parser's time
        value = _APPLY[match[2]](float(match[1]), float(match[3])) if match else _evaluated(side)
    except (arithmetic.NoValueError, ArithmeticError) as error:
        raise UndefinedError(str(error)) from None
    if not math.isfinite(value):
        raise UndefinedError("not finite")
    return value


def _evaluated(side: str) -> float:
    if _NUMBER_ALONE.fullmatch(side):
        return float(side)
    try:
        return float(arithmetic.evaluate(side, caret_is_power=True))
    except arithmetic.NoValueError:
        return float(arithmetic.evaluate(_LEADING_ZEROS.sub("", side), caret_is_power=True))


def _unit(side: str, percent: float) -> float:
    """Returns what the last decimal of a number is worth; 0 where nothing may be rounded."""
    match = _NUMBER.fullmatch(side)
    if match is None or not (match[1] or match[2]):
        return 0
    return 10.0 ** -len(match[1] or "") * (percent if match[2] else 1)


def _is_rounded(exact: float, written: float, unit: float) -> bool:
    slack = 1e-9 * max(unit, abs(exact))  # a tie must pass: 0.5 * 0.25 = 0.13
    difference = abs(exact) - abs(written)
    if exact * written < 0 or not unit:
        return False
    return abs(difference) <= unit / 2 + slack or 0 < difference < unit - slack
