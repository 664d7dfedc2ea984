"""Whether an equation among words can be read in another way. Asked only about one that does not hold as read."""

import itertools
import re
from collections.abc import Sequence

from rft_jax.task.plain_sides import Side

# The words link a number before the expression to it: 3 boxes at 4 * 5, half of 20 + 4.
_LINKED = re.compile(
    r"\b(?:at|by|per|for|times|each|every|plus|minus|divided|multiplied|mod|more|less|fewer|over|out|to)"
    r"(?: [^\W\d_]+){0,2}$",
    re.IGNORECASE,
)
_MULTIPLIED = re.compile(
    r"\b(?:half|twice|double|triple|thrice|thirds?|quarters?|fourths?|fifths?|tenths?|root|sum|product|difference)"
    r"(?: of)?$",
    re.IGNORECASE,
)
# A unit that changes the number.
_SCALED = re.compile(
    r"""(?:dozens?|pairs?|hundreds?|thousands?|millions?|billions?|k|mod|modulo|base|percent|cents?|squared|cubed|times
    |more|less|fewer|plus|minus|over|factorial)\b""",
    re.VERBOSE | re.IGNORECASE,
)
_MEASURE = re.compile(
    r"""(?:(?:square|cubic)[ ])?(sec|min|h(?=\b)|hr|hour|day|week|month|year|inch|foot|feet|ft|yard|mile|meter|metre|km
    |cm|mm|kg|gram|pound|lb|ounce|oz|ton|dollar|penn|nickel|dime|quarter|liter|litre|ml|gallon|quart|pint|cup|degree|in\Z)""",
    re.VERBOSE | re.IGNORECASE,
)
_ROUNDED = re.compile(r"\b(?:remain|left ?over|round|whole|approx|almost|nearly|estimat|about)", re.IGNORECASE)
_DIVIDED_TWICE = re.compile(r"/[0-9.]+/")
_LIST_ITEM = re.compile(r"-(.+)")
_LABELLED = re.compile(r"[0-9]*-(.+)")


def in_words(sides: Sequence[Side], line: str) -> bool:
    """Tells whether words do part of the arithmetic, so that the operators alone are not the whole equation.

    Args:
        sides: the sides of the equation.
        line: the line that the equation is in.
    """
    first = sides[0]
    if (first.after_number and _LINKED.search(first.lead)) or _MULTIPLIED.search(first.lead):
        return True
    if any(_SCALED.match(unit) for side in sides for unit in side.units):
        return True
    measures = [{match[1].lower() for unit in side.units if (match := _MEASURE.match(unit))} for side in sides]
    # 1 hour - 20 minutes = 40 minutes
    if any(len(found) > 1 and {"+", "-"} & set(side.text) for found, side in zip(measures, sides, strict=True)):
        return True
    # 2 hours * 3 = 360 minutes
    if any(left and right and not left & right for left, right in itertools.pairwise(measures)):
        return True
    # 100 / 3 = 33 each, and 1 remains
    return any("/" in side.text for side in sides) and _ROUNDED.search(line) is not None


def in_signs(sides: Sequence[Side]) -> bool:
    """Tells whether the operators alone can be read in more than one way, as in `20 / 1/3`."""
    return (
        sides[0].label
        or any(side.doubtful for side in sides)
        or any(_DIVIDED_TWICE.search(side.text) for side in sides)
    )


def without_leading_dash(side: Side) -> str | None:
    """Returns what follows the dash of a list item or label (`- 5+3`, `Step 1 - 5+3`), None without such a dash."""
    match = (_LABELLED if side.lead.istitle() and " " not in side.lead else _LIST_ITEM).fullmatch(side.text)
    return match and match[1]
