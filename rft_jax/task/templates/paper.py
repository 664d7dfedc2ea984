"""The reference's instruction text."""

import dataclasses
from typing import Any

from rft_jax.records.problem import Problem
from rft_jax.task.template import Piece, Template, around_turns, refuse_history

_BEFORE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n"
)
# No space after the colon: the answer's first token follows at once, in training and in sampling alike.
_AFTER = "\n\n### Response:"


def instruction(question: str) -> str:
    """Returns the prompt of a question: instruction, question and `### Response:`."""
    return f"{_BEFORE}{question}{_AFTER}"


@dataclasses.dataclass(frozen=True)
class Paper(Template):
    """The reference's instruction text, on every task of the paper."""

    begins = True

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns instruction, question and `### Response:`."""
        refuse_history(problem, "paper")
        return [Piece(instruction(problem.question), control=False)]

    def describe(self) -> dict[str, Any]:
        """Returns the kind."""
        return {"kind": "paper"}

    def as_chat_template(self, begin: str, own: str | None) -> str:
        """Returns the instruction text around the user's turns."""
        return around_turns(begin, _BEFORE, _AFTER)
