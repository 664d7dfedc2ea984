"""One form for all ways to write a number or an expression. Runs in the process of latex_worker.py only.

A number is an exact fraction or, where it is not rational, its first digits. An expression is its values at three
points, always the same: what agrees there is equal (the identity test of Schwartz and Zippel; sympy's `simplify`
promises no canonical form).
"""

import hashlib
from fractions import Fraction
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

_POINTS = 3
_DIGITS_COMPUTED, _DIGITS_COMPARED = 40, 25
# A computed number this near to a fraction of a small denominator is that fraction, though it was not computed exactly.
_NEAR, _MAX_DENOMINATOR, _MAX_FRACTION = Fraction(1, 10**24), 10**6, 10**12
# 9^{9^9} is not written out; up to here rational numbers are exact.
_MAX_EXACT = sympy.Integer(10) ** 1_000


def scalar(expression: Any) -> str:
    """Returns the form of a number or an expression.

    Raises:
        ValueError: it has no value, 1/0 for instance.
    """
    expression = _prepared(expression)
    if expression in (sympy.oo, -sympy.oo):
        return str(expression)
    values = _values(expression)
    if not expression.free_symbols and all(abs(part) < _MAX_EXACT for part in values[0].as_real_imag()):
        exact = expression.doit()
        if isinstance(exact, sympy.Rational):
            return str(exact)
    forms = [_digits(value) for value in values]
    return forms[0] if len(set(forms)) == 1 else f"⟨{', '.join(forms)}⟩"


def proportions(expression: Any, *, signed: bool) -> list[str]:
    """Returns the form of an expression up to a constant factor, which is positive if `signed`."""
    first, *others = _values(_prepared(expression))
    if _digits(first) == "0":
        return ["0"]
    scale = abs(first) if signed else first
    return [_digits((value / scale).evalf(_DIGITS_COMPUTED)) for value in (first, *others)]


def _prepared(expression: Any) -> Any:
    """Returns it with exact decimals, `f(x)` as the name of a value, i as the imaginary unit, and sums summed."""
    replacements = {one: sympy.Rational(str(one)) for one in expression.atoms(sympy.Float)}
    replacements |= {one: one.args[0] for one in expression.atoms(sympy.UnevaluatedExpr)}
    replacements |= {one: sympy.Symbol(str(one)) for one in expression.atoms(AppliedUndef)}
    replacements |= {one: sympy.I for one in expression.free_symbols if one.name == "i"}
    expression = expression.xreplace(replacements)
    return expression.doit() if expression.has(sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit) else expression


def _values(expression: Any) -> list[Any]:
    """Returns an expression's values, complex numbers of `_DIGITS_COMPUTED` digits, at the points."""
    symbols = sorted(expression.free_symbols, key=str)
    values = []
    for point in range(_POINTS if symbols else 1):
        place = {symbol: _coordinate(symbol.name, point) for symbol in symbols}
        value = expression.evalf(_DIGITS_COMPUTED, subs=place, maxn=4 * _DIGITS_COMPUTED)
        if not all(isinstance(part, sympy.Number) and part.is_finite for part in value.as_real_imag()):
            raise ValueError(f"no value: {value}")
        values.append(value)
    return values


def _coordinate(name: str, point: int) -> sympy.Rational:
    """Returns a fraction that nobody's formula treats in a special way; all positive at point 0, negative at 1."""
    number = int.from_bytes(hashlib.sha256(f"{point} {name}".encode()).digest()[:8])
    size = sympy.Rational(1_000 + number % 2_003, 1_009)  # between 1 and 3
    return size if point == 0 or (point > 1 and number >> 32 & 1) else -size


def _digits(value: Any) -> str:
    real, imaginary = (_real_digits(part) for part in value.as_real_imag())
    return real if imaginary == "0" else f"{real} + {imaginary} i"


def _real_digits(value: Any) -> str:
    if value == 0 or (isinstance(value, sympy.Float) and value._prec < _DIGITS_COMPARED):  # all digits cancelled
        return "0"
    if abs(value) < _MAX_FRACTION and abs(value) > sympy.Rational(1, _MAX_FRACTION):
        exact = Fraction(*map(int, sympy.Rational(value).as_numer_denom()))
        near = exact.limit_denominator(_MAX_DENOMINATOR)
        if abs(exact - near) < _NEAR:
            return str(near)
    return str(sympy.Float(value, _DIGITS_COMPARED))
