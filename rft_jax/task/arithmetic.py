"""Python's arithmetic on a text, without Python's evaluator.

The reference hands what a model wrote to `eval`. Here a tokenizer and an operator-precedence parser do the arithmetic
part of that: number literals, `+ - * / // % **`, the integers' `~ << & ^ |`, signs and brackets, with Python's
precedence and on Python's own int and float. Everything else (names, calls, commas, strings, comparisons, complex
numbers) has no value. So nothing can be executed, and bounds on length, nesting and size of the integers keep the time
of the worst text to a few milliseconds.
"""

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

# The longest equation of GSM8K's gold answers has 36 characters, the longest of its models' outputs at hand 93.
MAX_CHARACTERS = 1_000
# CPython's tokenizer gives up at 200 open brackets.
MAX_NESTING = 200
# Floats end at 1,024 bits. An intermediate integer may go further and come back, as in 10**400 // 10**399.
MAX_BITS = 8_192

_DIGITS = r"[0-9](?:_?[0-9])*"
_TOKEN = re.compile(
    rf"""(?P<space>[ \t]+)
    | (?P<line>\r\n|\r|\n)
    | (?P<comment>\#[^\r\n]*)
    | (?P<float>(?:(?:{_DIGITS})?\.{_DIGITS}|{_DIGITS}\.)(?:[eE][+-]?{_DIGITS})?|{_DIGITS}[eE][+-]?{_DIGITS})
    | (?P<based>0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+)
    | (?P<int>{_DIGITS})
    | (?P<operator>\*\*|//|<<|[-+*/%&|^~()])
    """,
    re.VERBOSE,
)
# What may not follow a number at once: `5x`, `5_` and `5é` are no numbers.
_WORD = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]")

Number = int | float


class NoValueError(Exception):
    """The text has no arithmetic value: not an expression, undefined (1/0), not real, or out of bounds."""


class _Operator(NamedTuple):
    precedence: int
    apply: Callable[..., object]
    operands: int
    right_to_left: bool = False


def evaluate(text: str, *, caret_is_power: bool = False) -> Number:
    """Returns what Python's `eval(text)` gives for an arithmetic expression.

    Args:
        text: the expression.
        caret_is_power: `^` is `**`, as people write it, rather than Python's exclusive or.

    Raises:
        NoValueError: `text` is anything else, or too long, too deeply nested, or its integers grow too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise NoValueError(f"longer than {MAX_CHARACTERS} characters")
    values: list[Number] = []
    waiting: list[_Operator | None] = []  # None is an open bracket
    depth = 0
    operand_next = True
    for token in _tokens(text):
        if caret_is_power and token == "^":
            token = "**"
        if not isinstance(token, str):
            if not operand_next:
                raise NoValueError("two numbers side by side")
            values.append(token)
            operand_next = False
        elif token == "(":
            # `5(3)` is a call in Python, and a number cannot be called.
            if not operand_next or depth == MAX_NESTING:
                raise NoValueError("a bracket where no operand may stand, or too many")
            waiting.append(None)
            depth += 1
        elif token == ")":
            if operand_next or depth == 0:
                raise NoValueError("unbalanced brackets")
            while (entry := waiting.pop()) is not None:
                _reduce(values, entry)
            depth -= 1
        elif operand_next:
            if token not in _UNARY:
                raise NoValueError(f"{token} has no left operand")
            waiting.append(_UNARY[token])
        else:
            entry = _BINARY.get(token)
            if entry is None:
                raise NoValueError(f"{token} is no binary operator")
            while waiting and (left := waiting[-1]) is not None and _binds_first(left, entry):
                waiting.pop()
                _reduce(values, left)
            waiting.append(entry)
            operand_next = True
    if operand_next or depth:
        raise NoValueError("the expression is not finished")
    while waiting:
        entry = waiting.pop()
        assert entry is not None, "depth is 0"
        _reduce(values, entry)
    return values[0]


def _tokens(text: str) -> list[Number | str]:
    """Returns numbers as numbers and operators as text, with Python's rules on where a line may end."""
    tokens: list[Number | str] = []
    position, depth = 0, 0
    line_ended = False  # after some token, outside brackets: only empty lines may follow
    line_start = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NoValueError(f"character {text[position]!r}")
        kind, token, position = match.lastgroup, match.group(), match.end()
        if kind == "line":
            line_ended |= bool(tokens) and depth == 0
            line_start = position
        elif kind == "space":
            # An indented line is an error in Python, unless a comment or a line end follows; only the first may be.
            at_start = match.start() == line_start > 0 and depth == 0
            if at_start and (position == len(text) or text[position] not in "#\r\n"):
                raise NoValueError("an indented line")
        elif kind != "comment":
            if line_ended:
                raise NoValueError("a second line")
            if kind == "operator":
                depth += (token == "(") - (token == ")")
                tokens.append(token)
            else:
                if _WORD.match(text, position):
                    raise NoValueError("a number that runs into a word")
                tokens.append(_number(kind, token))
    return tokens


def _number(kind: str | None, token: str) -> Number:
    if kind == "float":
        return float(token)
    if kind == "based":
        return _bounded(int(token, 0))
    if token[0] == "0" and token.strip("0_"):
        raise NoValueError("an integer with leading zeros")
    return _bounded(int(token))


def _binds_first(left: _Operator, right: _Operator) -> bool:
    if left.precedence == right.precedence:
        return not left.right_to_left
    return left.precedence > right.precedence


def _reduce(values: list[Number], entry: _Operator) -> None:
    try:
        if entry.operands == 1:
            values[-1] = _bounded(entry.apply(values[-1]))
        else:
            right = values.pop()
            values[-1] = _bounded(entry.apply(values[-1], right))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise NoValueError(str(error)) from None


def _bounded(value: object) -> Number:
    if isinstance(value, float):
        return value
    if not isinstance(value, int):
        raise NoValueError("not a real number")  # (-8)**(1/3) is complex
    if value.bit_length() > MAX_BITS:
        raise NoValueError(f"an integer of more than {MAX_BITS} bits")
    return value


def _power(base: Number, exponent: Number) -> Number:
    # Both are bounded here before the power is taken; with 0, 1 and -1 every exponent is harmless.
    grows = isinstance(base, int) and isinstance(exponent, int) and exponent > 0 and abs(base) > 1
    if grows and (int(base).bit_length() - 1) * exponent > MAX_BITS:
        raise NoValueError(f"a power of more than {MAX_BITS} bits")
    return base**exponent


def _shift(value: Number, by: Number) -> Number:
    if isinstance(by, int) and by > MAX_BITS and value:
        raise NoValueError(f"an integer of more than {MAX_BITS} bits")
    return operator.lshift(value, by)  # floats raise TypeError, as in Python


_BINARY = {
    "|": _Operator(1, operator.or_, 2),
    "^": _Operator(2, operator.xor, 2),
    "&": _Operator(3, operator.and_, 2),
    "<<": _Operator(4, _shift, 2),
    "+": _Operator(5, operator.add, 2),
    "-": _Operator(5, operator.sub, 2),
    "*": _Operator(6, operator.mul, 2),
    "/": _Operator(6, operator.truediv, 2),
    "//": _Operator(6, operator.floordiv, 2),
    "%": _Operator(6, operator.mod, 2),
    "**": _Operator(8, _power, 2, right_to_left=True),
}
_UNARY = {
    "+": _Operator(7, operator.pos, 1, right_to_left=True),
    "-": _Operator(7, operator.neg, 1, right_to_left=True),
    "~": _Operator(7, operator.invert, 1, right_to_left=True),
}
