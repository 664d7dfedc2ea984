"""Problems: questions with their gold answers."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records import hub
from rft_jax.records.lines import at_line, dump, read_objects, text_field, write_lines


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """A question with its gold answer; a problem's number is its index in the list, from 0.

    Attributes:
        question: the text of the question.
        response: the gold path, with the answer in the form that the task's grader reads.
        history: the turns before the question, as (role, content); empty but for data of several turns.
    """

    question: str
    response: str
    history: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Problem":
        """Reads `question` and `answer`, GSM8K's names, or `query` and `response`, the reference's.

        Raises:
            LineError: neither pair is there.
        """
        names = ("query", "response") if "query" in fields else ("question", "answer")
        return cls(text_field(fields, names[0]), text_field(fields, names[1]))


def read_problems(
    source: str | os.PathLike[str], reader: Callable[[dict[str, Any]], Problem] = Problem.from_fields
) -> list[Problem]:
    """Returns the problems of a JSONL file, or of a Hugging Face data set as `hf:openai/gsm8k:main:train`.

    Args:
        source: the file's name, or the data set's.
        reader: from a row to a problem; a task has one.

    Raises:
        UserError: there is no such file or data set, it holds no problem, or a line is wrong.
    """
    name = os.fspath(source)
    rows = hub.read_rows(name) if name.startswith(hub.PREFIX) else read_objects(name)
    problems: list[Problem] = []
    for number, fields in rows:
        # A problem is known by its line, so a blank line must not shift the others without a word.
        if number != len(problems) + 1:
            raise UserError(f"{name}:{len(problems) + 1}: an empty line between problems")
        with at_line(name, number):
            problems.append(reader(fields))
    if not problems:
        raise UserError(f"{name} holds no problem")
    return problems


def write_problems(file: str | os.PathLike[str], problems: Iterable[Problem]) -> None:
    """Writes problems in GSM8K's format, whole or not at all; raises UserError where that is impossible."""
    write_lines(file, (dump({"question": problem.question, "answer": problem.response}) for problem in problems))
