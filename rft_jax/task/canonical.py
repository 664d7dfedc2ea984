"""A coarser name for an equation list: the same for reasoning in another order or with swapped operands.

Three things do not count: the order of the operands of `+` and of `*`, the form of a number (2, 2.0, 02), and the order
of steps that do not depend on each other. A step depends on another when its operands include the other's result, the
value of its right side. Two steps of which one depends on the other keep their order. Lists that differ only in what
does not count are one trace (Mazurkiewicz), and are named by its lexicographically smallest order.
"""

import functools
import re
from typing import NamedTuple

# More than any solution has; a longer list is its own name.
MAX_STEPS = 64
MAX_CHARACTERS = 4_000
_MAX_NESTING = 50

_TOKEN = re.compile(r"(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?![0-9.A-Za-z_])|\*\*|//|[-+*/%^()]")
_SIMPLE = re.compile(r"([0-9]++(?:\.[0-9]++)?+)([-+*/])([0-9]++(?:\.[0-9]++)?+)=([0-9]++(?:\.[0-9]++)?+)")
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "^": 4}
_SIGN = 3  # binds tighter than a product and looser than a power
_NUMBER = "number"


class _NotArithmeticError(Exception):
    pass


class _Step(NamedTuple):
    """An equation.

    Attributes:
        name: its canonical form.
        result: the number on its right side, None when that is not a number.
        operands: the numbers on its other sides; None when the equation is not arithmetic, and may depend on anything.
    """

    name: str
    result: str | None
    operands: frozenset[str] | None

    def depends_on(self, other: "_Step") -> bool:
        if self.operands is None or other.operands is None:
            return True
        return other.result in self.operands


class _Node(NamedTuple):
    """A parsed expression.

    Attributes:
        operator: at its root; `number` for a number.
        text: canonical.
        operands: those of a sum or product, as written in the text.
    """

    operator: str
    text: str
    operands: tuple[str, ...] = ()

    def in_brackets(self) -> str:
        return self.text if self.operator == _NUMBER else f"({self.text})"


def canonical(key: str) -> str:
    """Returns the canonical name of an equation list.

    Args:
        key: equations without spaces, joined by `|`, as `Equations.key` gives them.

    Returns:
        The name. It is the key itself when that is longer than `MAX_STEPS` or `MAX_CHARACTERS`; an equation that is not
        arithmetic stays as it is, where it is.
    """
    if len(key) > MAX_CHARACTERS or key.count("|") >= MAX_STEPS:
        return key
    steps = [_step(equation) for equation in key.split("|")]
    return "|".join(step.name for step in _smallest_order(steps))


def _smallest_order(steps: list[_Step]) -> list[_Step]:
    """Returns the lexicographically smallest order, by name, that keeps every dependent pair in order."""
    waits_for = [
        {earlier for earlier in range(place) if step.depends_on(steps[earlier]) or steps[earlier].depends_on(step)}
        for place, step in enumerate(steps)
    ]
    if not any(waits_for):
        return sorted(steps, key=lambda step: step.name)
    left = set(range(len(steps)))
    order = []
    while left:
        ready = (place for place in left if not waits_for[place] & left)
        chosen = min(ready, key=lambda place: (steps[place].name, place))
        left.remove(chosen)
        order.append(steps[chosen])
    return order


@functools.lru_cache(maxsize=1 << 15)  # the lists of a problem share their equations
def _step(equation: str) -> _Step:
    match = _SIMPLE.fullmatch(equation)
    if match is not None:  # most are, and the parser takes ten times as long
        left, sign, right, result = match.groups()
        left, right, result = _number(left), _number(right), _number(result)
        operands = frozenset((left, right))
        if sign in "+*" and right < left:
            left, right = right, left
        return _Step(f"{left}{sign}{right}={result}", result, operands)
    try:
        parsers = [_Parser(side) for side in equation.split("=")]
        sides = [parser.parse() for parser in parsers]
    except _NotArithmeticError:
        return _Step(equation, None, None)
    name = "=".join(side.text for side in sides)
    result = parsers[-1].only_number
    used = parsers if result is None else parsers[:-1]
    return _Step(name, result, frozenset(number for parser in used for number in parser.numbers))


def _number(text: str) -> str:
    whole, point, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (point and fraction and f".{fraction}")


class _Parser:
    """Parses one side of an equation by operator precedence.

    Attributes:
        numbers: the values of its numbers, signs and percent signs included.
        only_number: the value of the whole side when that is a single number, else None.
    """

    def __init__(self, side: str) -> None:
        self.numbers: list[str] = []
        self.only_number: str | None = None
        self._tokens = _TOKEN.findall(side)
        if sum(map(len, self._tokens)) != len(side):
            raise _NotArithmeticError
        self._tokens.append("")
        self._next = 0

    def parse(self) -> _Node:
        node = self._expression(0, 0)
        if self._tokens[self._next]:
            raise _NotArithmeticError
        if len(self.numbers) == 1 and node.text.strip("()") == self.numbers[0]:
            self.only_number = self.numbers[0]
        return node

    def _expression(self, binds: int, depth: int) -> _Node:
        """Reads operands and operators that bind more strongly than `binds`."""
        if depth > _MAX_NESTING:
            raise _NotArithmeticError
        left = self._operand(depth)
        while True:
            operator = self._tokens[self._next].replace("**", "^")
            precedence = _PRECEDENCE.get(operator, 0)
            if precedence <= binds:
                return left
            self._next += 1
            right = self._expression(precedence - (operator == "^"), depth + 1)
            left = _applied(operator, left, right)

    def _operand(self, depth: int) -> _Node:
        token = self._tokens[self._next]
        self._next += 1
        if token == "(":
            node = self._expression(0, depth + 1)
            if self._tokens[self._next] != ")":
                raise _NotArithmeticError
            self._next += 1
        elif token == "+":
            return self._expression(_SIGN, depth + 1)
        elif token == "-":
            begin = len(self.numbers)
            node = self._expression(_SIGN, depth + 1)
            if node.operator == _NUMBER and len(self.numbers) == begin + 1:
                self.numbers[begin] = f"-{node.text}"
            return _Node("sign", f"-{node.in_brackets()}")
        elif token[:1].isdigit() or token[:1] == ".":
            node = _Node(_NUMBER, _number(token))
            self.numbers.append(node.text)
        else:
            raise _NotArithmeticError
        return self._percent(node)

    def _percent(self, node: _Node) -> _Node:
        """Reads a percent sign, which before an operand is modulo instead."""
        after = self._tokens[self._next + 1][:1] if self._tokens[self._next] == "%" else "("
        if after == "(" or after == "." or after.isdigit():
            return node
        self._next += 1
        if node.operator == _NUMBER:
            self.numbers[-1] += "%"
        return _Node(node.operator if node.operator == _NUMBER else "%", f"{node.in_brackets()}%")


def _applied(operator: str, left: _Node, right: _Node) -> _Node:
    if operator not in "+*":
        return _Node(operator, f"{left.in_brackets()}{operator}{right.in_brackets()}")
    operands: list[str] = []
    for node in (left, right):
        operands += node.operands if node.operator == operator else (node.in_brackets(),)
    operands.sort()
    return _Node(operator, operator.join(operands), tuple(operands))
