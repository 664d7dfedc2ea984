"""The final answer of a path: finding it, comparing it with the gold answer, voting.

Two graders. The *reference* grader is the reference's, with its faults, and its figures are the paper's. The *robust*
one reads the ways in which people and models write a number (`$1,200.`, `50%`, `-1/2`) and compares exactly.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal, NamedTuple

GRADERS = ("reference", "robust")

# The largest difference that the reference's evaluation forgives. Its selection compares exactly.
EVALUATION_TOLERANCE = 1e-4

# Characters from the first `####` to the end: `#### 1,234 dollars a week.`
_MAX_REMEMBERED = 100

_REFERENCE = re.compile(r"#### (-?[0-9.,]+)")


def reference_answer(response: str) -> str | None:
    """Returns the first number after `#### `, commas removed, or None: the reference's extraction.

    The text counts up to the first NUL. Only the first match counts, even where it is no number (`#### 1.2.3`).
    """
    match = _REFERENCE.search(response.partition("\0")[0])
    if match is None:
        return None
    answer = match.group(1).replace(",", "")
    try:
        float(answer)
    except ValueError:
        return None
    return answer


def reference_equal(answer: str | None, gold: str | None, *, tolerance: float) -> bool:
    """Tells whether two extracted answers are equal as floats; None equals nothing.

    Args:
        answer, gold: what `reference_answer` returned.
        tolerance: 0.0 in selection (exact), `EVALUATION_TOLERANCE` in evaluation (strictly less).
    """
    if answer is None or gold is None:
        return False
    left, right = float(answer), float(gold)
    return left == right or abs(left - right) < tolerance


def reference_vote(answers: Iterable[str | None]) -> str | None:
    """Returns the answer of majority voting, maj1@k: the most frequent *string*, the first seen among equals.

    None is no vote; `18` and `18.0` are two candidates, as in the reference.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    return max(votes, key=votes.__getitem__, default=None)


# A number as people write it. Thousands are grouped by commas or not at all. What comes behind must not make it part of
# something longer: `1,5`, `1.2.3`, `5:30`, `2^10` are not read as their beginnings. {0,99} bounds the digits.
_UNSIGNED = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,33}|[0-9]{1,99})(?:\.[0-9]{0,99})?|\.[0-9]{1,99}"
_ROBUST = re.compile(
    rf"""\#{{4}}\s{{0,9}}(?:=\s?)?
    (?P<sign>[-+−]?)\s?(?:US|USD|AUD|CAD)?\s?[$€£¥₹]?\s?(?P<sign2>[-−]?)
    (?:(?P<whole>[0-9]{{1,99}})\s(?=[0-9]{{1,99}}/[0-9]))?
    (?P<number>{_UNSIGNED})
    (?:\s?/\s?(?P<divisor>{_UNSIGNED}))?
    (?![0-9]|[.,:/^][0-9]|\s?\^)
    """,
    re.VERBOSE,
)


def robust_answer(response: str, which: Literal["first", "last"] = "last") -> Fraction | None:
    """Returns the first or last number after a `####` exactly, or None.

    Currency signs, a percent sign (`50%` is 50, as GSM8K writes it), grouping commas, words behind the number and a
    trailing period do not matter; fractions and mixed numbers (`1 1/2`) are read; numbers beyond about 100 digits are
    not.
    """
    found = None
    start = response.find("####")
    for match in _ROBUST.finditer(response, start) if start != -1 else ():
        value = _rational(*match.group("sign", "sign2", "whole", "number", "divisor"))
        if value is not None:
            found = value
            if which == "first":
                break
    return found


@functools.lru_cache(maxsize=1 << 14)  # the samples of a problem repeat their answers
def _rational(sign: str, sign2: str, whole: str | None, number: str, divisor: str | None) -> Fraction | None:
    value = Fraction(_plain(number))
    if divisor is not None:
        if not Fraction(_plain(divisor)):
            return None
        value /= Fraction(_plain(divisor))
    if whole is not None:
        value += int(whole)
    return -value if (sign in {"-", "−"}) != (sign2 != "") else value


class Answers(NamedTuple):
    """What both graders read in a response.

    Attributes:
        reference: the reference's answer as a number, or None.
        robust: the robust answer as text, or None; equal numbers are equal texts.
    """

    reference: float | None
    robust: str | None


def answers(response: str) -> Answers:
    """Returns the answer by each grader."""
    start = response.find("####")  # no answer begins before
    if start == -1:
        return Answers(None, None)
    ending = response[start:] if response.find("\0", 0, start) == -1 else "\0" + response[start:]
    # Texts of hostile length must not stay in the cache.
    return _answers(ending) if len(ending) <= _MAX_REMEMBERED else _answers.__wrapped__(ending)


@functools.lru_cache(maxsize=1 << 14)  # the samples of a problem repeat their answers
def _answers(ending: str) -> Answers:
    reference, robust = reference_answer(ending), robust_answer(ending)
    return Answers(None if reference is None else float(reference), None if robust is None else str(robust))


def _plain(number: str) -> str:
    return number.replace(",", "").rstrip(".")
