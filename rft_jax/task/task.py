"""A task: what a model is asked, and how its answer is judged, as one value."""

import dataclasses
import typing
from pathlib import Path
from typing import Any, NamedTuple

from rft_jax import names, plugin
from rft_jax.errors import UserError
from rft_jax.task.equations import Equations
from rft_jax.task.reader import Reader
from rft_jax.task.template import Template

SHIPPED = {name: f"rft_jax.task.{name}" for name in ("gsm8k", "gsm8k_chat", "math")}
DEFAULT = "gsm8k"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What a data set asks. A task of one's own is a Python file that defines TASK, named instead of a shipped one.

    Attributes:
        name: for tables and files.
        reader: from a row of a file to a problem.
        template: from a problem to a prompt, and what ends a response.
        grader: decides which answers are right: the name of a shipped grader, or a Python file with a GRADER, seen from
            the task's file; `__file__` is the task's file itself.
        audits: graders that look at every path beside it; the reports tell where they disagree.
        equations: finds the equations of a response, the key of the dedup, and checks them.
        groups: fields by which evaluations break accuracy down, where the problems have them.
    """

    name: str
    reader: Reader
    template: Template
    grader: str
    audits: tuple[str, ...]
    equations: Equations
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError if a field is of another type, as in `template=\"paper\"`: it would fail much later."""
        for field in dataclasses.fields(self):
            kind: Any = typing.get_origin(field.type) or field.type
            if not isinstance(value := getattr(self, field.name), kind):
                raise UserError(f"{field.name} of a Task is {plugin.described(value)}, not a {kind.__name__}")


class Reference(NamedTuple):
    """How a task is named: `NAME` or `FILE.py`, with columns as `NAME:QUESTION,RESPONSE` or `…,SOLUTION,ANSWER`.

    Attributes:
        name: a shipped task, or a Python file; "" for the model's own.
        columns: the fields to read in place of the task's; empty: the task's.
    """

    name: str
    columns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Reads one.

        Raises:
            UserError: there are too few or too many columns.
        """
        name, colon, listed = text.partition(":")
        if text.endswith(".py"):
            return cls(text)
        if (end := text.rfind(".py:")) != -1:  # a folder's name may have a colon
            name, listed = text[: end + 3], text[end + 4 :]
        if not colon:
            return cls(name)
        try:
            columns = tuple(names.split_list(listed))
        except ValueError as error:
            raise UserError(f"task '{text}': {error}") from None
        if len(columns) not in (2, 3) or not all(columns):
            raise UserError(
                f"task '{text}': behind the colon stand the names of the fields, QUESTION,RESPONSE or "
                "QUESTION,SOLUTION,ANSWER"
            )
        return cls(name, columns)

    def __str__(self) -> str:
        """Returns it as it is written."""
        return f"{self.name}:{names.join_list(self.columns)}" if self.columns else self.name

    @property
    def file(self) -> str | None:
        """The user's own file, None for a shipped task."""
        return self.name if self.name.endswith(".py") else None

    def placed(self) -> "Reference":
        """Returns a reference that means the same from any other folder."""
        return self._replace(name=plugin.placed(self.name))


def load(reference: str) -> Task:
    """Returns a shipped task by its name, or the TASK of a Python file; with columns, it reads those.

    Raises:
        UserError: there is none of that name, or the file is wrong.
    """
    name, columns = Reference.parse(reference)
    task = plugin.load(name, "TASK", Task, SHIPPED)
    if columns:
        task = dataclasses.replace(task, reader=Reader(columns))
    if name in SHIPPED:
        return task
    folder = Path(plugin.placed(name)).parent
    beside = {each: str(folder / each) for each in (task.grader, *task.audits) if each.endswith(".py")}
    return dataclasses.replace(
        task,
        grader=beside.get(task.grader, task.grader),
        audits=tuple(beside.get(each, each) for each in task.audits),
    )
