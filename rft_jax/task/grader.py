"""Graders: from a response to its answer, a value that equals the gold one or does not."""

import abc
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

from rft_jax import plugin

SHIPPED = {name: f"rft_jax.task.graders.{name}" for name in ("reference", "robust", "number_or_none", "boxed", "latex")}


class Grader(abc.ABC):
    """Reads answers. A grader of one's own subclasses this, gives `parse`, and is named by its file.

    Attributes:
        name: for tables and files.
    """

    name: str

    @abc.abstractmethod
    def parse(self, text: str) -> Hashable | None:
        """Returns the answer of a response, None where there is none. Equal answers are equal values.

        The text comes from a model or a file: whatever it is, this returns, soon, and executes none of it.
        """

    def equal(self, answer: Any, gold: Any) -> bool:
        """Tells whether an answer is the gold one, in an evaluation; neither is None."""
        return bool(answer == gold)

    def equal_in_selection(self, answer: Any, gold: Any) -> bool:
        """Tells whether an answer is the gold one, in a selection: the reference compares otherwise there."""
        return self.equal(answer, gold)

    def vote(self, answers: Iterable[Hashable | None]) -> Hashable | None:
        """Returns the most frequent answer, the first seen among equals: maj1@k. None is no vote."""
        votes = Counter(answer for answer in answers if answer is not None)
        return max(votes, key=votes.__getitem__, default=None)


def load(reference: str) -> Grader:
    """Returns a grader by its name, or the GRADER of a Python file.

    Raises:
        UserError: there is none of that name, or the file is wrong.
    """
    # An abstract class is a type as good as any.
    return plugin.load(reference, "GRADER", Grader, SHIPPED)  # type: ignore[type-abstract]
