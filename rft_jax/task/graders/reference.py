"""The reference's grader, with its faults: its figures are the paper's (configs/paper/TRAPS.md, trap 6)."""

import functools
import re

from rft_jax.task.grader import Grader

# The largest difference that the reference's evaluation forgives. Its selection compares exactly.
EVALUATION_TOLERANCE = 1e-4

# Characters from the first `####` to the end: `#### 1,234 dollars a week.`
_MAX_REMEMBERED = 100
_NUMBER = re.compile(r"#### (-?[0-9.,]+)")


class ReferenceGrader(Grader):
    """The first number after `#### `, as a text without commas, for the reference's vote counts texts."""

    name = "reference"

    def parse(self, text: str) -> str | None:
        """Returns the first number after `#### `, commas removed, or None.

        The text counts up to the first NUL. Only the first match counts, even where it is no number (`#### 1.2.3`).
        """
        start = text.find("####")  # no answer begins before
        if start == -1 or text.find("\0", 0, start) != -1:
            return None
        ending = text[start:]
        # Texts of hostile length must not stay in the cache.
        return _parse(ending) if len(ending) <= _MAX_REMEMBERED else _parse.__wrapped__(ending)

    def equal(self, answer: str, gold: str) -> bool:
        """Tells whether two answers differ by less than `EVALUATION_TOLERANCE`; infinities equal themselves."""
        left, right = _number(answer), _number(gold)
        return left == right or abs(left - right) < EVALUATION_TOLERANCE

    def equal_in_selection(self, answer: str, gold: str) -> bool:
        """Tells whether two answers are the same float."""
        return _number(answer) == _number(gold)


@functools.lru_cache(maxsize=1 << 14)  # the samples of a problem repeat their answers
def _parse(ending: str) -> str | None:
    match = _NUMBER.search(ending.partition("\0")[0])
    if match is None:
        return None
    answer = match.group(1).replace(",", "")
    try:
        float(answer)
    except ValueError:
        return None
    return answer


_number = functools.lru_cache(maxsize=1 << 14)(float)

GRADER = ReferenceGrader()
