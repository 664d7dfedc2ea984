"""Worked examples before the question."""

import dataclasses
import functools
import random
from collections.abc import Sequence
from typing import Any

from rft_jax.records.problem import Problem
from rft_jax.task.template import Piece, Template, around_turns, refuse_history


@dataclasses.dataclass(frozen=True)
class Shots(Template):
    """Worked examples before the question, for a model that was only pre-trained.

    Attributes:
        examples: (question, response) of each.
    """

    examples: tuple[tuple[str, str], ...]
    begins = True
    # A model that continues such a prompt goes on to the next question; its answer ends where that begins.
    STOP = "\n\nQuestion:"

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns the examples, the question and `Answer:`."""
        refuse_history(problem, "shots")
        return [Piece(f"{self._shown}Question: {problem.question}\nAnswer:", control=False)]

    @functools.cached_property
    def _shown(self) -> str:
        return "".join(f"Question: {question}\nAnswer: {response}\n\n" for question, response in self.examples)

    @property
    def stops(self) -> tuple[str, ...]:
        """The beginning of a next question."""
        return (self.STOP,)

    def as_chat_template(self, begin: str, own: str | None) -> str:
        """Returns the examples and the user's question."""
        return around_turns(begin, f"{self._shown}Question: ", "\nAnswer:")

    def describe(self) -> dict[str, Any]:
        """Returns the kind and the examples."""
        return {"kind": "shots", "examples": [list(example) for example in self.examples]}


def choose_shots(problems: Sequence[Problem], count: int, seed: int) -> Shots:
    """Returns a template with `count` of the problems as examples, the same for the same problems and seed.

    Raises:
        ValueError: there are fewer than `count` problems.
    """
    if count > len(problems):
        raise ValueError(f"{count} examples asked for, but there are {len(problems)} problems")
    chosen = random.Random(seed).sample(list(problems), count)
    return Shots(tuple((problem.question, problem.response) for problem in chosen))
