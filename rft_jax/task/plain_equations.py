"""Equations in plain text: `She pays 3 apples x $4 = $12` has `3*4=12`.

A line is split into parts at its `=` signs. The *side* next to a sign is the longest arithmetic expression there:
numbers, operators and brackets. Words after a number are its unit and do not count; a number right after another, a
comma or the end of a sentence starts a new expression. Sides around consecutive signs form a chain, `a=b=c`.

A chain ends in one of three ways:
- it holds: all neighbours agree (`agreement`);
- it fails: the path is wrong;
- it is left out, because it is not an equation between numbers, or may not be one. That covers a chain without an
  operator (`x = 5`), with a variable (`2x + 3 = 13`), a function or an unknown sign, or without a value (`1/0`), and
  one that fails as read while its words allow another reading (`2 dozen * 3 = 72`, `1 hour - 20 minutes = 40 minutes`).

A step may run on from the result before it: `18 - 4 = 14 eggs * $2 = $28` is `18-4=14` and `14*2=28`.
"""

import itertools
import operator
import re
from collections.abc import Iterator
from typing import NamedTuple

from rft_jax.task import plain_alone, plain_doubt
from rft_jax.task.agreement import holds
from rft_jax.task.arithmetic import MAX_CHARACTERS
from rft_jax.task.plain_sides import Side, read_part
from rft_jax.task.plain_text import in_ascii_signs

_DIGIT = re.compile(r"[0-9]")
_EQUALS = re.compile(r"(?<![<>=!:~])=(?![=>])")
# An x right before a number multiplies behind a number or its unit; elsewhere `x1` is a name.
_TIMES = re.compile(
    r"(?<![^\W\d_])[xX](?=[ ]+[$€£¥₹]?[ ]*[(.0-9]|[$€£¥₹])|(?:(?<=[0-9)%$€£¥₹])|(?<=[\w$€£¥₹] ))[xX](?=[(.0-9])"
)
_PRODUCT = re.compile(r"(?<=[0-9)])\((?=[^\W_]|[(-])")
_STARTING_NUMBER = re.compile(r"(-?[0-9.]+%?)[-+*/^]")
_OPERATOR = re.compile(r"(?<=[^(])[-+*/^%](?!\Z)")


class Chain(NamedTuple):
    """Sides that the text says are equal.

    Attributes:
        text: the normal form: the sides as written, joined by `=`, without spaces, units, currency signs and thousands
            commas, and with one glyph per operator.
        holds: whether all neighbours agree.
    """

    text: str
    holds: bool


def chains(line: str) -> list[Chain]:
    """Returns the equations of a line, except those that are left out."""
    if (alone := plain_alone.standing_alone(line)) is not None:
        return [Chain(text, True) for text in alone.split("|")] if alone else []
    found = []
    for piece in in_ascii_signs(line).split("\n"):
        for sides in _chained(piece):
            found += _judged(sides, piece)
    return found


def _chained(line: str) -> Iterator[list[Side]]:
    """Yields the sides of each chain."""
    if "x" in line or "X" in line:
        line = _TIMES.sub("*", line)
    if "(" in line:
        line = _PRODUCT.sub("*(", line)
    pieces = _EQUALS.split(line)
    if len(pieces) == 1:
        return
    # Many lines say no more than `x = 12`: without digits on both sides of a sign there is nothing to check.
    numeric = [_DIGIT.search(piece) is not None for piece in pieces]
    if not any(map(operator.and_, numeric, numeric[1:])):
        return
    sides: list[Side] = []
    left = read_part(pieces[0])
    for piece in pieces[1:]:
        right = read_part(piece)
        if sides and left.first is not left.last:
            yield sides
            sides = []
        if left.last is not None and left.last.known and right.first is not None and right.first.known:
            if not sides:
                sides.append(left.last)
            sides.append(right.first)
        elif sides:
            yield sides
            sides = []
        left = right
    if sides:
        yield sides


def _judged(sides: list[Side], line: str) -> list[Chain]:
    """Returns the equations that the sides of a chain make; none when the chain is left out."""
    texts = [side.text for side in sides]
    if not any(map(_OPERATOR.search, texts)) or max(map(len, texts)) > MAX_CHARACTERS:
        return []
    chain = "=".join(texts)
    verdict = holds(chain)
    if verdict is None:
        return []
    if verdict:
        return [Chain(chain, True)]
    for reading in _other_readings(sides):
        verdicts = [holds("=".join(parts)) for parts in reading]
        if None in verdicts:
            return []
        if all(verdicts):
            return [Chain("=".join(parts), True) for parts in reading if any(map(_OPERATOR.search, parts))]
    if plain_doubt.in_signs(sides) or plain_doubt.in_words(sides, line):
        return []
    return [Chain(chain, False)]


def _other_readings(sides: list[Side]) -> Iterator[list[list[str]]]:
    """Yields the other ways to read a chain that does not hold, each as a list of chains."""
    texts = [side.text for side in sides]
    behind_dash = plain_doubt.without_leading_dash(sides[0])
    if behind_dash is not None and _OPERATOR.search(behind_dash):
        yield [[behind_dash, *texts[1:]]]
    # A number among words ends one equation and does not begin the next: 3 + 3 = 6 therefore y = 6 / 3 = 2.
    ends = [place + 1 for place, side in enumerate(sides[:-1]) if side.label]
    if ends:
        bounds = [0, *ends, len(sides)]
        chains = [texts[a:b] for a, b in itertools.pairwise(bounds) if (a, b) != (0, 1)]
        if all(len(chain) > 1 for chain in chains):
            yield chains
    if run_on := _run_on(texts):
        yield run_on


def _run_on(texts: list[str]) -> list[list[str]]:
    """Returns the chains of steps that each go on from the result before: `18 - 4 = 14 eggs * $2 = $28`.

    A step begins where the side before, a computation, agrees with the number that the next side starts with and not
    with that side as a whole. Empty when there is no such place.
    """
    steps = [texts[:1]]
    for text in texts[1:-1]:
        before = steps[-1][-1]
        start = _STARTING_NUMBER.match(text)
        goes_on = start and _OPERATOR.search(before) and not holds(f"{before}={text}")
        if start and goes_on and holds(f"{before}={start[1]}"):
            steps[-1].append(start[1])
            steps.append([])
        steps[-1].append(text)
    steps[-1].append(texts[-1])
    return steps if len(steps) > 1 else []
