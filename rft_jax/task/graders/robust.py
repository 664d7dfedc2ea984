"""The robust grader: reads the ways in which people and models write a number, and compares exactly."""

from fractions import Fraction

from rft_jax.task.answer import robust_answer
from rft_jax.task.grader import Grader


class RobustGrader(Grader):
    """The last number after a `####`, as an exact fraction."""

    name = "robust"

    def parse(self, text: str) -> Fraction | None:
        """Returns the number, or None."""
        return robust_answer(text)


GRADER = RobustGrader()
