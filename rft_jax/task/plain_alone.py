"""Equations that stand alone: behind a word or at the start of a line, plain numbers that are right as they stand.

Nine in ten lines with an equation are of that kind (`So she has 48 / 2 = 24 clips`, `3 apples * 4 = 12 apples`). What
holds when read alone holds whatever the words and signs around it are, and one pattern finds it in a fraction of the
time that `plain_equations` takes to read the line. Everything else is left to that.
"""

import functools
import re

from rft_jax.task.agreement import holds

_MAX_REMEMBERED = 500  # characters

_AMOUNT = r"(?:[0-9]++(?:,[0-9]{3})*+(?:\.[0-9]++)?+|\.[0-9]++)%?+\)*+"
_NUMBER = rf"\(*+[$€£]?+{_AMOUNT}"
_UNIT = r"(?:[ /][a-z]{2,}+(?:[-/][a-z]++)*+){0,3}+"
_SIGN = r" ?+[-+*/x×÷·−–] ?+"
_MORE = rf"(?:{_UNIT}{_SIGN}{_NUMBER})"
# The first character of a number, so that the search is quick; before it a word, or nothing on the line.
_BEGIN = r"[$(.0-9](?:(?<=[a-wyzA-WYZ,:;.] .)|(?<![^\n].))"
# Behind the last number no further digit, name, index, power or operator; a unit may follow.
_END = r"(?![,.]?[0-9A-Za-z^!_%]| ?[-+*^=×÷·(%]| ?/(?![a-z]{2})| x )"
_EQUATION = re.compile(rf"{_BEGIN}[$(]*+[.,0-9]*+%?+\)*+{_MORE}++{_UNIT}(?: ?+= ?+{_NUMBER}{_MORE}*+)++{_END}")
_WORDS = re.compile(r"[ /][a-z]{2,}+(?:[-/][a-z]++)*+")
_ONE_SIGN = str.maketrans({**dict.fromkeys("×x·", "*"), "÷": "/", **dict.fromkeys("−–", "-"), **dict.fromkeys(" ,$€£")})


def standing_alone(text: str) -> str | None:
    """Returns the equations of a text in normal form, joined by `|`, when all its equals signs are in such equations.

    The normal form is that of `plain_equations`: without spaces, units, currency signs and thousands commas.

    Args:
        text: a response or a line of one.

    Returns:
        None when an equals sign belongs to anything else, or an equation does not hold as it stands.
    """
    # A backslash: LaTeX, where an operand may be anything.
    if "\\" in text:
        return None
    found = "|".join(_EQUATION.findall(text))
    if found.count("=") != text.count("="):
        return None
    # The samples of a problem repeat their equations. Texts of hostile length must not stay in the cache.
    return (_normal_form if len(found) <= _MAX_REMEMBERED else _normal_form.__wrapped__)(found)


@functools.lru_cache(maxsize=1 << 13)
def _normal_form(equations: str) -> str | None:
    """Returns equations joined by `|` in normal form, None when one does not hold."""
    equations = _WORDS.sub("", equations).translate(_ONE_SIGN)
    return equations if not equations or all(map(holds, equations.split("|"))) else None
