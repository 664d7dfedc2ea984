"""When the two sides of an equation that was written by hand agree.

The sides agree when they differ by less than `TOLERANCE`, or when one of them is a number with decimals that is the
other side rounded or cut off at its last decimal: `10/3 = 3.33`, `2/3 = 0.66`, `2/3 = 0.67`. A whole number is not
taken for a rounded one (`7/2 = 3` does not hold).

A percentage is a hundredth (`20%*50 = 10`, `12/48 = 25%`), or where only sums and quotients are taken, its own unit
(`100% - 35 = 65`); a result in percent may leave out the factor 100 (`12/48*100 = 25%`).
"""

import functools
import itertools
import math
import operator
import re

from rft_jax.task import arithmetic

# How far the two sides of an equation may differ; the reference's constant (0.333 * 3 = 1 is meant to pass).
TOLERANCE = 1e-3

# A percent sign before an operand is Python's modulo.
_PERCENT = re.compile(r"([0-9.]*)%(?![0-9.(])")
_LEADING_ZEROS = re.compile(r"(?<![0-9.])0+(?=[0-9])")
_NUMERAL = r"(?:[0-9]++(?:\.[0-9]++)?+|\.[0-9]++)"
_NUMERAL_ALONE = re.compile(_NUMERAL)
_TWO_NUMBERS = re.compile(rf"({_NUMERAL})([-+*/])({_NUMERAL})=({_NUMERAL})")
_APPLY = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_WITHOUT_BRACKETS = re.compile(rf"-?{_NUMERAL}%?+(?:[-+*/]{_NUMERAL}%?+)*+")
_OPERAND = re.compile(r"([-+*/]?)([0-9.]+)(%?)")
# Characters of an equation.
_SHORT = 100
_NUMBER = re.compile(r"-?[0-9]*(?:\.([0-9]+))?(%?)")


def holds(equation: str) -> bool | None:
    """Tells whether an equation in the normal form of `plain_equations` holds: each side agrees with the next.

    Args:
        equation: sides joined by `=`; in them `^` is power, a `%` behind an operand is percent.

    Returns:
        None when a side has no finite value, so that there is nothing to check.
    """
    # A text of hostile length must not stay in the cache.
    return (_holds if len(equation) <= _SHORT else _holds.__wrapped__)(equation)


@functools.lru_cache(maxsize=1 << 15)  # the samples of a problem repeat their equations
def _holds(equation: str) -> bool | None:
    try:
        match = _TWO_NUMBERS.fullmatch(equation)
        if match is not None:  # most are, and most of them need no more than this
            left, sign, right, result = match.groups()
            if abs(_APPLY[sign](float(left), float(right)) - float(result)) < TOLERANCE:
                return True
        return all(itertools.starmap(_agree, itertools.pairwise(equation.split("="))))
    except (arithmetic.NoValueError, ArithmeticError):
        return None


def _agree(left: str, right: str) -> bool:
    """Tells whether two sides have the same value; raises `NoValueError` or `ArithmeticError` where one has none."""
    if "%" not in left and "%" not in right:
        return _same(left, _value(left), right, _value(right), 1)
    first, second = _value(left), _value(right)
    if _same(left, first, right, second, 0.01):
        return True
    if "100%" in left and "%" not in right and _same(left, 100 * first, right, second, 1):
        return True
    if "%" not in left and _same(left, first, right, 100 * second, 1):
        return True
    if "*" in left + right:
        return False
    first, second = _value(left, percent=1), _value(right, percent=1)
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


def _value(side: str, percent: int = 100) -> float:
    """Returns the value of a side; a number with a percent sign is divided by `percent`, which is 100 or 1."""
    if _NUMERAL_ALONE.fullmatch(side):
        value = float(side)
    elif len(side) <= _SHORT and _WITHOUT_BRACKETS.fullmatch(side):  # most are, and the parser takes ten times as long
        value = _left_to_right(side, percent)
    else:
        value = _parsed(side, percent)
    if not math.isfinite(value):
        raise arithmetic.NoValueError("not finite")
    return value


def _left_to_right(side: str, percent: int) -> float:
    """Returns the value of numbers with `+ - * /` between them, each with or without a percent sign."""
    total: float = 0
    term: float = 0
    for sign, digits, is_percent in _OPERAND.findall(side):
        number = int(digits) if digits.isdigit() else float(digits)
        if is_percent:
            number /= percent
        if sign == "*":
            term *= number
        elif sign == "/":
            term /= number
        else:
            total += term
            term = -number if sign == "-" else number
    return float(total + term)


def _parsed(side: str, percent: int) -> float:
    if "%" in side:
        side = _PERCENT.sub(r"\1" if percent == 1 else _hundredths, side)
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
