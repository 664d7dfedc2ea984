"""The grader of problems that may have no answer, as GSM-Plus's critical thinking: a number, or the word none."""

from fractions import Fraction

from rft_jax.task.grader import Grader
from rft_jax.task.graders import boxed, robust

_NONE = "none"


class NumberOrNone(Grader):
    r"""The number that `robust` reads; without one, `None` where the final answer is that word and nothing else.

    `#### None`, `\boxed{\text{None}}` and "The answer is none." say so. Prose that only explains what is missing does
    not: it would take a list of phrases, and a response that goes on to a number after one of them would count as both.
    """

    name = "number_or_none"

    def parse(self, text: str) -> Fraction | str | None:
        """Returns the number, "none", or None where there is no answer."""
        number = robust.GRADER.parse(text)
        if number is not None:
            return number
        return _NONE if boxed.GRADER.parse(text) == _NONE else None


GRADER = NumberOrNone()
