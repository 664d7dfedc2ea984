"""Problems: questions with their gold answers."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records.lines import answer_field, dump, text_field, write_lines
from rft_jax.records.rows import read_each


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """A question with its gold answer; a problem's number is its index in the list, from 0.

    Attributes:
        question: the text of the question.
        response: the gold path, with the answer in the form that the task's grader reads.
        history: the turns before the question, as (role, content); empty but for data of several turns.
        train_history: whether training is on the assistant's turns in it, too: not in a selected set, which has the
            history of a problem many times.
    """

    question: str
    response: str
    history: tuple[tuple[str, str], ...] = ()
    train_history: bool = False

    def training_row(self, response: str) -> dict[str, Any]:
        """Returns the fields of a row to train on this response: of the reference's format, with the history if any."""
        row: dict[str, Any] = {"query": self.question, "response": response}
        if self.history:
            row["history"] = [{"role": role, "content": content} for role, content in self.history]
        return row

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Problem":
        """Reads `question` and `answer`, GSM8K's names, or `query` and `response`, the reference's.

        Raises:
            LineError: neither pair is there.
        """
        names = ("query", "response") if "query" in fields else ("question", "answer")
        return cls(text_field(fields, names[0]), answer_field(fields, names[1]))


def read_problems(
    source: str | os.PathLike[str], reader: Callable[[dict[str, Any]], Problem] = Problem.from_fields
) -> list[Problem]:
    """Returns the problems of a file, or of a Hugging Face data set as `hf:openai/gsm8k:main:train`; see `read_rows`.

    Args:
        source: the file or data set.
        reader: makes a problem of a row's fields, or raises LineError; a task has one.

    Raises:
        UserError: there is no such file or data set, it holds no problem, or a row is wrong.
    """
    problems: list[Problem] = []
    for number, problem in read_each(source, reader):
        # A problem is known by its line, so a blank line must not shift the others without a word.
        if number != len(problems) + 1:
            raise UserError(f"{os.fspath(source)}:{len(problems) + 1}: an empty line before a problem; remove it")
        problems.append(problem)
    if not problems:
        raise UserError(f"{os.fspath(source)} holds no problem")
    return problems


def write_problems(file: str | os.PathLike[str], problems: Iterable[Problem]) -> None:
    """Writes problems in GSM8K's format, whole or not at all; raises UserError where that is impossible."""
    write_lines(file, (dump({"question": problem.question, "answer": problem.response}) for problem in problems))
