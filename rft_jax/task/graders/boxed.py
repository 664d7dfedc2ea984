r"""The grader of boxed answers: `\boxed{…}` in one way of writing LaTeX, rational numbers exactly, no algebra."""

import functools
from fractions import Fraction

from rft_jax.task.answer_text import answer_text
from rft_jax.task.grader import Grader
from rft_jax.task.latex_text import normal, rational, tidy, value_of_name, word


class BoxedGrader(Grader):
    r"""The answer in the last `\boxed{…}`, else after the last `####`, else after "the answer is".

    As MATH's evaluation, and a bit further, it compares texts in which what does not count is alike: spaces, units,
    `\left`, `50\%` and 50, `x = 5` and 5. Rational numbers are compared exactly, so 0.5 is `\frac12`. What takes
    algebra it does not see: `2x + x` and `3x` are two answers.
    """

    name = "boxed"

    def parse(self, text: str) -> Fraction | str | None:
        """Returns the answer: a fraction where it is a rational number, else a text; or None."""
        answer = answer_text(text)
        return None if answer is None else _value(answer)


@functools.lru_cache(maxsize=1 << 14)  # the samples of a problem repeat their answers
def _value(answer: str) -> Fraction | str | None:
    tidied = value_of_name(tidy(answer))
    number = rational(tidied)
    return number if number is not None else word(tidied) or normal(tidied) or None


GRADER = BoxedGrader()
