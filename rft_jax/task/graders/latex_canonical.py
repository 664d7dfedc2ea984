"""One form for all ways to write an answer: math-verify reads the LaTeX; sets, equations, … are told by their parts.

Runs in the process of latex_worker.py only.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, latex2sympy, normalize_latex
from math_verify.grader import should_treat_as_complex
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from rft_jax.task.graders.latex_scalar import proportions, scalar

# As math-verify's `parse`, but for two settings. Its removal of units takes `2t` for 2 (latex_text.py has removed them
# already), and its letters have no case.
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
_CONVERSION = ConversionConfig(lowercase_symbols=False)


class Form(NamedTuple):
    """A canonical form, and the forms of other answers that it equals too."""

    form: str
    also: frozenset[str] = frozenset()


def canonical(text: str) -> Form:
    """Returns the canonical form of an answer.

    Raises:
        Exception: whatever the library raises for what it cannot read, and for what has no value.
    """
    normalized = normalize_latex(text, _NORMALIZATION)
    parsed = latex2sympy(
        normalized,
        is_real=not should_treat_as_complex(normalized),
        convert_degrees=False,
        normalization_config=None,
        conversion_config=_CONVERSION,
    )
    return _form(parsed, text)


def _form(one: Any, text: str) -> Form:
    if isinstance(one, sympy.MatrixBase | sympy.MatrixExpr):
        rows = sympy.Matrix(one.doit()).tolist()
        return Form(_list("[", (_list("[", map(scalar, row), "]") for row in rows), "]"))
    if isinstance(one, Relational | sympy.And):
        return _relation(one, text)
    if isinstance(one, sympy.Tuple):
        return Form(_list("(", (_form(part, text).form for part in one), ")"))
    if isinstance(one, sympy.FiniteSet):
        # latex2sympy keeps the order in which they stood.
        return _several(getattr(one, "_unsorted_args", one.args), text)
    return Form(_set(one)) if isinstance(one, sympy.Set) else Form(scalar(one))


def _list(opening: str, parts: Iterable[str], closing: str) -> str:
    return opening + ", ".join(parts) + closing


def _set(one: sympy.Set) -> str:
    one = one.doit()
    if one == sympy.S.Reals:
        one = sympy.Interval(-sympy.oo, sympy.oo)
    if isinstance(one, sympy.Interval):
        ends = map(scalar, (one.start, one.end))
        return _list("(" if one.left_open else "[", ends, ")" if one.right_open else "]")
    if isinstance(one, sympy.FiniteSet):
        return _list("{", sorted(set(map(scalar, one.args))), "}")
    if isinstance(one, sympy.Union):
        return " ∪ ".join(sorted(map(_set, one.args)))
    return sympy.srepr(one)


def _several(parts: Sequence[Any], text: str) -> Form:
    r"""Returns the form of answers that stand side by side, and of sets: `1, 2`, `\{1, 2\}`, `x = 1, y = 2`."""
    ordered = "\\{" not in text and "\\pm" not in text  # maybe a pair whose brackets were left out
    if all(isinstance(part, sympy.Eq) and _is_name(part.lhs) for part in parts):
        names = [str(part.lhs) for part in parts]
        if len(set(names)) == len(names) > 1:
            named = sorted((name, _form(part.rhs, text).form) for name, part in zip(names, parts, strict=True))
            equations = _list("{", (f"{name} = {value}" for name, value in named), "}")
            return Form(equations, frozenset({_list("(", (value for _, value in named), ")")}))
        parts, ordered = [part.rhs for part in parts], False
    elif (
        all(isinstance(part, Relational) for part in parts) and len(set().union(*(p.free_symbols for p in parts))) == 1
    ):
        sets = [part.as_set() for part in parts]
        return Form(_set(sympy.Union(*sets) if " or " in text.replace("}", " ") else sympy.Intersection(*sets)))
    # `1 \pm 2, 5`: what stands for two answers is two.
    flat = [each for part in parts for each in (part.args if isinstance(part, sympy.FiniteSet) else (part,))]
    forms = [_form(part, text).form for part in flat]
    also = set()
    if len(set(forms)) == 1:
        also.add(forms[0])
    elif ordered:
        also.add(_list("(", forms, ")"))
    return Form(_list("{", sorted(set(forms)), "}"), frozenset(also))


def _relation(one: Any, text: str) -> Form:
    chain = getattr(one, "_unsorted_args", one.args) if isinstance(one, sympy.And) else (one,)
    if all(isinstance(part, sympy.Eq) for part in chain):  # `x = 2 + 3 = 5`
        return _equation(chain[0].lhs, chain[-1].rhs, text)
    if len(one.free_symbols) == 1 and not one.has(AppliedUndef):
        return Form(_set(sympy.Intersection(*(part.as_set() for part in chain))))
    return Form(" ∧ ".join(sorted(map(_inequality, chain))))


def _equation(left: Any, right: Any, text: str) -> Form:
    if not _is_name(left) and _is_name(right):
        left, right = right, left
    value = _form(right, text)
    if not isinstance(right, sympy.Expr) or not isinstance(left, sympy.Expr):
        return value  # a name of a set or a matrix, or its member: `x \in (1, 2)`
    alone = _is_name(left) and left not in right.free_symbols
    if not left.free_symbols or (alone and not right.free_symbols):
        return value
    numerator, _ = sympy.fraction(sympy.together(left - right))
    form = _list("0 = ", proportions(numerator, signed=False), "")
    # `y = 2x` may be given as `2x`, and `AB = 5` as 5.
    product = isinstance(left, sympy.Mul) and all(isinstance(factor, sympy.Symbol) for factor in left.args)
    return Form(form, value.also | {value.form} if alone or product else frozenset())


def _inequality(one: Any) -> str:
    difference = one.lhs - one.rhs
    match one:
        case sympy.Ne():
            return _list("0 ≠ ", proportions(difference, signed=False), "")
        case sympy.StrictGreaterThan():
            return _list("0 < ", proportions(difference, signed=True), "")
        case sympy.StrictLessThan():
            return _list("0 < ", proportions(-difference, signed=True), "")
        case sympy.GreaterThan():
            return _list("0 ≤ ", proportions(difference, signed=True), "")
        case sympy.LessThan():
            return _list("0 ≤ ", proportions(-difference, signed=True), "")
    return sympy.srepr(one)


def _is_name(one: Any) -> bool:
    return isinstance(one, sympy.Symbol | AppliedUndef)
