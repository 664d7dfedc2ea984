"""A task: what a model is asked, and how its answer is judged, as one value."""

import dataclasses
from pathlib import Path

from rft_jax import plugin
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
    """

    name: str
    reader: Reader
    template: Template
    grader: str
    audits: tuple[str, ...]
    equations: Equations

    def __post_init__(self) -> None:
        """Raises TypeError where a task of one's own has another thing as template, reader or equations."""
        for name, kind in (("template", Template), ("equations", Equations)):
            if not isinstance(value := getattr(self, name), kind):
                raise TypeError(f"{name} is {value!r:.60}, not {kind.__name__}")
        if not callable(self.reader):
            raise TypeError(f"reader is {self.reader!r:.60}, which cannot be called")


def load(reference: str) -> Task:
    """Returns a shipped task by its name, or the TASK of a Python file.

    Raises:
        UserError: there is none of that name, or the file is wrong.
    """
    task = plugin.load(reference, "TASK", SHIPPED, Task)
    if reference in SHIPPED:
        return task
    folder = Path(reference).absolute().parent
    beside = {name: str(folder / name) for name in (task.grader, *task.audits) if name.endswith(".py")}
    return dataclasses.replace(
        task,
        grader=beside.get(task.grader, task.grader),
        audits=tuple(beside.get(name, name) for name in task.audits),
    )
