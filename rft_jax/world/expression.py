"""Whole-number expressions of the world's solutions: parsed once, then rewritten, computed and written."""

import ast
import dataclasses
import operator
import random
from collections.abc import Callable, Mapping

_SYMBOLS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPUTE: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclasses.dataclass(frozen=True)
class Number:
    """A whole number."""

    value: int


@dataclasses.dataclass(frozen=True)
class Variable:
    """A named number of the problem, or the named result of an earlier step."""

    name: str


@dataclasses.dataclass(frozen=True)
class Operation:
    """One of + - * / applied to two expressions."""

    symbol: str
    left: "Expression"
    right: "Expression"


Expression = Number | Variable | Operation


def parse(text: str) -> Expression:
    """Returns the expression for text in a family's solution, such as `(a+b)*2`."""
    return _from_ast(ast.parse(text, mode="eval").body)


def _from_ast(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(int(value)):
            return Number(value)
        case ast.Name(name):
            return Variable(name)
        case ast.BinOp(left, symbol, right):
            return Operation(_SYMBOLS[type(symbol)], _from_ast(left), _from_ast(right))
    raise ValueError(f"not an expression of the world: {ast.unparse(node)}")


def variables(expression: Expression) -> list[str]:
    """Returns the variable names in an expression, with repetitions, from left to right."""
    match expression:
        case Variable(name):
            return [name]
        case Operation(_, left, right):
            return variables(left) + variables(right)
    return []


def substitute(expression: Expression, values: Mapping[str, Expression]) -> Expression:
    """Returns the expression with the variables in `values` replaced."""
    match expression:
        case Variable(name):
            return values.get(name, expression)
        case Operation(symbol, left, right):
            return Operation(symbol, substitute(left, values), substitute(right, values))
    return expression


def commuted(expression: Expression, rng: random.Random) -> Expression:
    """Returns the expression with the operands of random sums and products swapped."""
    if not isinstance(expression, Operation):
        return expression
    left, right = commuted(expression.left, rng), commuted(expression.right, rng)
    if expression.symbol in "+*" and rng.random() < 0.5:
        left, right = right, left
    return Operation(expression.symbol, left, right)


def compute(expression: Expression) -> int:
    """Returns the value of an expression without variables.

    Raises:
        ArithmeticError: a division has a remainder, or the divisor is 0.
    """
    match expression:
        case Number(value):
            return value
        case Operation("/", left, right):
            quotient, remainder = divmod(compute(left), compute(right))
            if remainder:
                raise ArithmeticError(f"{write(expression)} is not a whole number")
            return quotient
        case Operation(symbol, left, right):
            return _COMPUTE[symbol](compute(left), compute(right))
    raise ValueError(f"{expression} contains variables")


def write(expression: Expression) -> str:
    """Returns the text of an expression, with the parentheses it needs."""
    match expression:
        case Number(value):
            return str(value)
        case Variable(name):
            return name
        case Operation(symbol, left, right):
            # 8-(3-2), 8-(3+2) and 8/(4/2) need parentheses on the right; 8+(3-2) does not.
            strict = symbol in "-/"
            return _inside(left, _BINDS[symbol], strict=False) + symbol + _inside(right, _BINDS[symbol], strict=strict)
    raise TypeError(f"not an expression: {expression!r}")


def _inside(expression: Expression, binds: int, strict: bool) -> str:
    text = write(expression)
    if not isinstance(expression, Operation):
        return text
    weaker = _BINDS[expression.symbol] < binds or (strict and _BINDS[expression.symbol] == binds)
    # a*(b/c) keeps its parentheses: a*b/c is a different whole-number step, whose division may not come out.
    weaker |= binds == 2 and expression.symbol == "/" and not strict
    return f"({text})" if weaker else text
