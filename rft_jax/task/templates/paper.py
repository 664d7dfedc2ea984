"""The reference's instruction text."""

import dataclasses
from typing import Any

from rft_jax.records.problem import Problem
from rft_jax.task.template import Piece, Template, around_turns, refuse_history


@dataclasses.dataclass(frozen=True)
class Paper(Template):
    """The reference's instruction text, on every task of the paper."""

    begins = True
    BEFORE = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n"
    )
    # No space after the colon: the answer's first token follows at once, in training and in sampling alike.
    AFTER = "\n\n### Response:"

    def prompt(self, problem: Problem, tokenizer: Any) -> list[Piece]:
        """Returns instruction, question and `### Response:`."""
        refuse_history(problem, "paper")
        return [Piece(f"{self.BEFORE}{problem.question}{self.AFTER}", control=False)]

    def describe(self) -> dict[str, Any]:
        """Returns the kind."""
        return {"kind": "paper"}

    def as_chat_template(self, begin: str, own: str | None) -> str:
        """Returns the instruction text around the user's turns."""
        return around_turns(begin, self.BEFORE, self.AFTER)
