"""Equations that stand alone: behind a word or at the start of a line, plain numbers that are right as they stand.

Nine in ten lines with an equation are of that kind (`So she has 48 / 2 = 24 clips`, `3 apples * 4 = 12 apples`).
What holds when it is read alone needs no look at the words and signs around it, and a pattern finds it in a fraction of
the time that `plain_equations` needs to read the line. Everything else is left to that.
"""

import functools
import re

from rft_jax.task.agreement import UndefinedError, agree

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
_EQUATION_ALONE = re.compile(rf"{_NUMBER}{_MORE}++(?: ?+= ?+{_NUMBER}{_MORE}*+)++")
# All that may be one without units, behind a word: one pass over a response that costs a third of the pattern above.
_TIGHT = re.compile(rf"[$(.0-9](?<=[a-wyzA-WYZ,:;.] .)[-+*/x0-9$().,% ]*+=[-+*/x0-9$().,% =]*[0-9%)]{_END}")
_WORDS = re.compile(r"[ /][a-z]{2,}+(?:[-/][a-z]++)*+")
_ONE_SIGN = str.maketrans({**dict.fromkeys("×x·", "*"), "÷": "/", **dict.fromkeys("−–", "-"), **dict.fromkeys(" ,$€£")})


def standing_alone(line: str) -> list[str] | None:
    """Returns the equations of a line in normal form when all its equals signs are in equations that stand alone.

    The normal form is that of `plain_equations`. None means that the line is to be read as a whole.
    """
    # A backslash: LaTeX, where an operand may be anything.
    if "\\" in line:
        return None
    forms = []
    signs = line.count("=")
    for equation in _EQUATION.findall(line):
        form = _normal_form(equation)
        if form is None:
            return None
        forms.append(form)
        signs -= form.count("=")
    return forms if signs == 0 else None


def without_units(response: str) -> str | None:
    """Returns the equations of a response, joined by `|`, when they all stand alone and have no units, else None.

    For such a response this is what its lines give, at once.
    """
    found = tuple(_TIGHT.findall(response))
    signs, joined = _joined(found)
    return joined if signs == response.count("=") and "\\" not in response else None


@functools.lru_cache(maxsize=1 << 13)  # the samples of a problem repeat their lists
def _joined(found: tuple[str, ...]) -> tuple[int, str]:
    """Returns how many equals signs the equations have, -1 when they are not sure to be ones that hold."""
    forms = [_normal_form(text) if _EQUATION_ALONE.fullmatch(text) else None for text in found]
    joined = "|".join(form or "" for form in forms)
    return -1 if None in forms else joined.count("="), joined


@functools.lru_cache(maxsize=1 << 15)  # the samples of a problem repeat their equations
def _normal_form(equation: str) -> str | None:
    """Returns an equation without spaces, currency signs and units, None when it does not hold."""
    form = _WORDS.sub("", equation).translate(_ONE_SIGN)
    sides = form.split("=")
    try:
        return form if all(map(agree, sides, sides[1:])) else None
    except UndefinedError:
        return None
