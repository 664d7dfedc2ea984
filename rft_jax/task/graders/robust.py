"""The robust grader: reads the ways in which people and models write a number, wholly or not at all, as a fraction."""

import functools
import re
from fractions import Fraction

from rft_jax.task.grader import Grader
from rft_jax.task.number.read import MAX_CHARACTERS, read_number

# Characters from the last `####` to the end: `#### 1,234 dollars a week.`
_MAX_REMEMBERED = 100
# Of a text without `####`: what is just a number, and where a sentence says the answer.
_MAX_WORDS = 3
_SENTENCE = re.compile(r"\b(?:[Aa]nswer|ANSWER)\s{1,9}(?:is|IS)\b")
_LINE_END = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0]")
_BOXED = re.compile(r"\\boxed\s?\{")


class RobustGrader(Grader):
    r"""The number on the last `####` line that states one; without any `####`, of the last `\boxed{…}`, of a text that
    is just a number, or of a last sentence "the answer is N".
    """

    name = "robust"

    def parse(self, text: str) -> Fraction | None:
        """Returns the number that `read_number` reads, or None."""
        start = text.rfind("####")
        if start == -1:
            return _without_mark(text)
        value = _number_behind(text[start + 4 :])
        while value is None and (end := start) and (start := text.rfind("####", 0, end)) != -1:
            value = _number_behind(text[start + 4 : end])
        return value


def _number_behind(text: str) -> Fraction | None:
    # Texts of hostile length must not stay in the cache.
    return _first_line(text) if len(text) <= _MAX_REMEMBERED else _first_line.__wrapped__(text)


@functools.lru_cache(maxsize=1 << 14)  # the samples of a problem repeat their answers
def _first_line(text: str) -> Fraction | None:
    """Returns the number of the first line that is not blank, or None."""
    text = text.lstrip()
    end = _LINE_END.search(text, 0, MAX_CHARACTERS + 1)
    return read_number(text[: end.start()] if end is not None else text)


def _without_mark(text: str) -> Fraction | None:
    boxed = _last_boxed(text)
    if boxed is not None:
        return read_number(boxed)
    text = text.strip()
    line = _LINE_END.split(text[-MAX_CHARACTERS:])[-1]
    if line == text and (value := read_number(text, max_words=_MAX_WORDS)) is not None:
        return value
    sentences = list(_SENTENCE.finditer(line))
    return read_number(line[sentences[-1].end() :]) if sentences else None


def _last_boxed(text: str) -> str | None:
    r"""Returns what stands in the last `\boxed{…}`, or None; of one that does not end, nothing."""
    start = text.rfind("\\boxed")
    opening = None if start == -1 else _BOXED.match(text, start)
    if opening is None:
        return None
    depth = 1
    for place in range(opening.end(), min(len(text), opening.end() + MAX_CHARACTERS)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return text[opening.end() : place]
    return ""


GRADER = RobustGrader()
