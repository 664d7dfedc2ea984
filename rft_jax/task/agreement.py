"""When the two sides of an equation that was written by hand agree.

The sides agree when they differ by less than `TOLERANCE`, or when one of them is a number with decimals that is the other
side rounded or cut off at its last decimal: `10/3 = 3.33`, `2/3 = 0.66`, `2/3 = 0.67`. A whole number is not taken for
a rounded one (`7/2 = 3` does not hold), unless the sign is `≈`.

A percentage is a hundredth (`20%*50 = 10`, `12/48 = 25%`), or where only sums and quotients are taken, its own unit
(`100% - 35 = 65`); a result in percent may leave out the factor 100 (`12/48*100 = 25%`).
"""

import math
import re
from collections.abc import Iterator

from rft_jax.task import arithmetic

# How far the two sides of an equation may differ; the reference's constant (0.333 * 3 = 1 is meant to pass).
TOLERANCE = 1e-3

# A percent sign before an operand is Python's modulo.
_PERCENT = re.compile(r"([0-9.]*)%(?![0-9.(])")
_LEADING_ZEROS = re.compile(r"(?<![0-9.])0+(?=[0-9])")
_NUMBER = re.compile(r"-?[0-9]*(?:\.([0-9]+))?(%?)")


class UndefinedError(Exception):
    """A side has no value."""


def agree(left: str, right: str, *, approximately: bool = False) -> bool:
    """Tells whether two sides, in the normal form of `plain_equations`, have the same value.

    Args:
        left, right: expressions; `^` is power, a `%` behind an operand is percent.
        approximately: the sign between them is `≈`, so a whole number may be rounded too.

    Raises:
        UndefinedError: a side has no finite value.
    """
    for first, second, scale in _readings(left, right):
        if abs(first - second) < TOLERANCE:
            return True
        if _is_rounded(first, second, _unit(right, scale, approximately)):
            return True
        if _is_rounded(second, first, _unit(left, scale, approximately)):
            return True
    return False


def _readings(left: str, right: str) -> Iterator[tuple[float, float, float]]:
    """Yields the values of both sides by each reading of the percent signs, and what a written percent is worth."""
    if "%" not in left and "%" not in right:
        yield _value(left), _value(right), 1
        return
    first, second = (_value(_PERCENT.sub(_hundredths, side)) for side in (left, right))
    yield first, second, 0.01
    if "100%" in left or "%" not in left:
        yield first * (100 if "%" in left else 1), second * (1 if "%" in left else 100), 1
    if "*" not in left + right:
        yield _value(_PERCENT.sub(r"\1", left)), _value(_PERCENT.sub(r"\1", right)), 1


def _hundredths(match: re.Match[str]) -> str:
    return f"({match[1]}/100)" if match[1] else "/100"  # behind a bracket


def _value(side: str) -> float:
    try:
        value = float(arithmetic.evaluate(_LEADING_ZEROS.sub("", side), caret_is_power=True))
    except (arithmetic.NoValueError, OverflowError) as error:
        raise UndefinedError(str(error)) from None
    if not math.isfinite(value):
        raise UndefinedError("not finite")
    return value


def _unit(side: str, percent: float, approximately: bool) -> float:
    """Returns what the last decimal of a number is worth; 0 where nothing may be rounded."""
    match = _NUMBER.fullmatch(side)
    if match is None or not (match[1] or match[2] or approximately):
        return 0
    return 10.0 ** -len(match[1] or "") * (percent if match[2] else 1)


def _is_rounded(exact: float, written: float, unit: float) -> bool:
    slack = 1e-9 * max(unit, abs(exact))  # a tie must pass: 0.5 * 0.25 = 0.13
    difference = abs(exact) - abs(written)
    if exact * written < 0 or not unit:
        return False
    return abs(difference) <= unit / 2 + slack or 0 < difference < unit - slack
