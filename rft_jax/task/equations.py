"""The equations a path writes between `<<` and `>>`: finding them, naming their list, checking them.

Two paths of a problem count as the same reasoning when their equation lists are the same text (the paper, section 3.3).
"""

import abc
import functools
import re
from collections.abc import Iterable

from rft_jax.task import arithmetic

# How far the two sides of an equation may differ; the reference's constant (0.333 * 3 = 1 is meant to pass).
TOLERANCE = 1e-3
# Characters of a response.
_MAX_REMEMBERED = 2_000
# Characters of an equation.
_SHORT = 100


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


def list_if_all_hold(response: str) -> str | None:
    """Returns the name of a path's equation list, or None when an equation does not hold."""
    found = tuple(_EQUATION.findall(response))
    # The samples of a problem repeat their lists. Texts of hostile length must not stay in the cache.
    return (_list_if_all_hold if len(response) <= _MAX_REMEMBERED else _list_if_all_hold.__wrapped__)(found)


@functools.lru_cache(maxsize=1 << 13)
def _list_if_all_hold(found: tuple[tuple[str, str], ...]) -> str | None:
    equations = _closed(found)
    return equation_list(equations) if all_hold(equations) else None


def holds(equation: str) -> bool:
    """Tells whether the two sides around the first `=` differ by less than `TOLERANCE`.

    The reference's check: Python's `eval` on the left side, Python's `float` on the right one (so `3+4=14/2` fails, and
    what follows a second `=` does not matter), and any error means no. See `arithmetic` for what the left side may be.
    """
    if len(equation) > 3 * arithmetic.MAX_CHARACTERS:  # could not pass
        return False
    # A text of hostile length must not stay in the cache.
    return (_holds if len(equation) <= _SHORT else _holds.__wrapped__)(equation)


@functools.lru_cache(maxsize=1 << 16)  # the samples of a problem repeat their equations; about 10 MB when full
def _holds(equation: str) -> bool:
    left, *rest = equation.split("=", 2)
    if not rest or len(rest[0]) > arithmetic.MAX_CHARACTERS:
        return False
    try:
        # `float` reads a literal and nothing else; the difference from an infinity or a nan is never small.
        return abs(float(arithmetic.evaluate(left)) - float(rest[0])) < TOLERANCE
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


class _Annotated(Equations):
    def find(self, response: str) -> list[str]:
        return find_equations(response)

    def key(self, response: str) -> str | None:
        return list_if_all_hold(response)

    def name(self, response: str) -> str:
        return equation_list(find_equations(response))


ANNOTATED: Equations = _Annotated()
REFERENCE: Equations = _Annotated()
PLAIN: Equations = _Annotated()
