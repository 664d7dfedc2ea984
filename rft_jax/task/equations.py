"""The equations a path writes between `<<` and `>>`: finding them, naming their list, checking them.

Two paths of a problem count as the same reasoning when their equation lists are the same text (the paper, section 3.3).
"""

import abc
import functools
import re
from collections.abc import Iterable

from rft_jax.task import arithmetic, plain_alone, plain_equations
from rft_jax.task.agreement import TOLERANCE

# Characters of a response.
_MAX_REMEMBERED = 2_000
# Characters of an equation.
_SHORT = 100


_NO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
# The reference's pattern is `<<([^>]*)>>`, which starts anew at each of a million `<<` and runs to the end of the text.
# Where that one fails, at a single `>` or at the end, every opening before fails for the same reason; so this one takes
# what it has read, and never reads a character twice. The second group is empty then.
_EQUATION = re.compile(r"<<([^>]*)(?:>(>?)|\Z)")


def find_equations(response: str) -> list[str]:
    """Returns the text of each `<<…>>` in order, spaces included, in linear time."""
    return _closed(_EQUATION.findall(response))


def _closed(found: Iterable[tuple[str, str]]) -> list[str]:
    return [equation for equation, closed in found if closed]


def equation_list(equations: list[str]) -> str:
    """Returns the name of an equation list: the equations joined by `|`, without spaces.

    Another order of the equations or another form of a number (`5*2`, `2*5`, `2.0*5`) is another list.
    """
    return "|".join(equations).replace(" ", "")


def all_hold(equations: Iterable[str]) -> bool:
    """Tells whether every equation holds; a path without equations passes, as in the reference."""
    return all(map(holds, equations))


def holds(equation: str) -> bool:
    """Tells whether the two sides around the first `=` differ by less than `TOLERANCE`.

    The reference's check: Python's `eval` on the left side, Python's `float` on the right one (so `3+4=14/2` fails, and
    what follows a second `=` does not matter), and any error means no. See `arithmetic` for what the left side may be.
    """
    return _holds(equation, caret_is_power=False)


def _holds(equation: str, caret_is_power: bool) -> bool:
    if len(equation) > 3 * arithmetic.MAX_CHARACTERS:  # could not pass
        return False
    # A text of hostile length must not stay in the cache.
    return (_evaluated if len(equation) <= _SHORT else _evaluated.__wrapped__)(equation, caret_is_power)


@functools.lru_cache(maxsize=1 << 16)  # the samples of a problem repeat their equations; about 10 MB when full
def _evaluated(equation: str, caret_is_power: bool) -> bool:
    left, *rest = equation.split("=", 2)
    if not rest or len(rest[0]) > arithmetic.MAX_CHARACTERS:
        return False
    try:
        # `float` reads a literal and nothing else; the difference from an infinity or a nan is never small.
        return abs(float(arithmetic.evaluate(left, caret_is_power=caret_is_power)) - float(rest[0])) < TOLERANCE
    except (arithmetic.NoValueError, ValueError, OverflowError):
        return False


class Equations(abc.ABC):
    """Finds and checks the equations of a response; the name of their list is the key of the dedup."""

    @abc.abstractmethod
    def find(self, response: str) -> list[str]:
        """Returns the equations in order."""

    @abc.abstractmethod
    def key(self, response: str) -> str | None:
        """Returns the name of the equation list, None when an equation does not hold."""

    @abc.abstractmethod
    def name(self, response: str) -> str:
        """Returns the name of the equation list, whether or not the equations hold."""


class _Reference(Equations):
    """The reference's equations: between `<<` and `>>`, in Python's arithmetic, where `^` is the exclusive or."""

    def find(self, response: str) -> list[str]:
        return find_equations(response)

    def key(self, response: str) -> str | None:
        found = tuple(_EQUATION.findall(response))
        # The samples of a problem repeat their lists. Texts of hostile length must not stay in the cache.
        return (self._key if len(response) <= _MAX_REMEMBERED else self._key.__wrapped__)(found)

    def name(self, response: str) -> str:
        return equation_list(find_equations(response))

    @staticmethod
    @functools.lru_cache(maxsize=1 << 13)
    def _key(found: tuple[tuple[str, str], ...]) -> str | None:
        equations = _closed(found)
        return equation_list(equations) if all_hold(equations) else None


def _with_plain_spaces(equation: str) -> str:
    """Returns the equation with a space for white space of every kind; what has no width is taken away."""
    if not equation.isascii():
        equation = equation.translate(_NO_WIDTH)
    return " ".join(equation.split())


class _Annotated(_Reference):
    """The same equations, but `^` is power, and no white space of any kind counts."""

    def name(self, response: str) -> str:
        return "|".join(map(_with_plain_spaces, find_equations(response))).replace(" ", "")

    @staticmethod
    @functools.lru_cache(maxsize=1 << 13)
    def _key(found: tuple[tuple[str, str], ...]) -> str | None:
        equations = list(map(_with_plain_spaces, _closed(found)))
        if not all(_holds(equation, caret_is_power=True) for equation in equations):
            return None
        return "|".join(equations).replace(" ", "")


class _Plain(Equations):
    """Equations in plain text (`plain_equations`); those between `<<` and `>>` alone where a response has any."""

    def find(self, response: str) -> list[str]:
        if "<<" in response and (annotated := find_equations(response)):
            return annotated
        return [chain.text for line in _plain_lines(response) for chain in plain_equations.chains(line)]

    def key(self, response: str) -> str | None:
        if "<<" in response and find_equations(response):
            return ANNOTATED.key(response)
        # The samples of a problem repeat one another. Texts of hostile length must not stay in the cache.
        return (self._key if len(response) <= _MAX_REMEMBERED else self._key.__wrapped__)(response)

    def name(self, response: str) -> str:
        if "<<" in response and find_equations(response):
            return ANNOTATED.name(response)
        return "|".join(self.find(response))

    @staticmethod
    @functools.lru_cache(maxsize=1 << 13)
    def _key(response: str) -> str | None:
        if (alone := plain_alone.standing_alone(response)) is not None:
            return alone
        line_key = _line_key if len(response) <= _MAX_REMEMBERED else _line_key.__wrapped__
        keys = []
        for line in _plain_lines(response):
            if (key := line_key(line)) is None:
                return None
            keys.append(key)
        return "|".join(filter(None, keys))


_CONTINUED = re.compile(r"\n[ \t]*(?:&[ \t]*)?(?==)")


def _plain_lines(response: str) -> list[str]:
    """Returns the lines with an equals sign; a line that begins with one goes on with the line before."""
    if _CONTINUED.search(response):
        response = _CONTINUED.sub(" ", response)
    return [line for line in response.split("\n") if "=" in line]


@functools.lru_cache(maxsize=1 << 15)
def _line_key(line: str) -> str | None:
    found = plain_equations.chains(line)
    return "|".join(chain.text for chain in found) if all(chain.holds for chain in found) else None


REFERENCE: Equations = _Reference()
ANNOTATED: Equations = _Annotated()
PLAIN: Equations = _Plain()
