"""What decides on a path: task, graders and rule, by their references, which travel to other processes."""

import dataclasses
from collections.abc import Sequence

from rft_jax.select import rules as rules_of
from rft_jax.select.rules import Rule
from rft_jax.task import auditing
from rft_jax.task import grader as graders_of
from rft_jax.task import task as tasks_of
from rft_jax.task.equations import Equations
from rft_jax.task.grader import Grader
from rft_jax.task.task import Task


@dataclasses.dataclass(frozen=True, slots=True)
class Criteria:
    """References, each the name of what is shipped or an absolute path of a Python file.

    Attributes:
        task: what was asked.
        graders: the one in use, then those that audit.
        rules: of the selection; with its seed, where it draws.
        left_out: lines on the task's auditors that cannot be used here.
    """

    task: str
    graders: tuple[str, ...]
    rules: str
    left_out: tuple[str, ...] = ()

    def load_task(self) -> Task:
        """Returns the task."""
        return tasks_of.load(self.task)

    def load_graders(self) -> list[Grader]:
        """Returns the graders, the one in use first."""
        return [graders_of.load(reference) for reference in self.graders]

    def load_rule(self) -> Rule:
        """Returns the rule."""
        return rules_of.load(self.rules)

    def load_equations(self) -> Equations:
        """Returns how equations are found and checked: the rule's way, else the task's."""
        return self.load_rule().equations or self.load_task().equations


def criteria(task: str, *, grader: str | None, audits: Sequence[str] | None, rules: str) -> Criteria:
    """Returns what these references name, with the task's graders where none are given.

    Args:
        task: a shipped name, or a Python file; as are the others.
        grader: decides what is right; None: the task's.
        audits: look at every path beside it; None: the task's grader and auditors, as far as they do not decide.
        rules: of the selection.

    Raises:
        UserError: something is not there, or two graders have one name.
    """
    graders, left_out = auditing.choose(tasks_of.load(task), grader, audits)
    made = Criteria(str(tasks_of.Reference.parse(task).placed()), graders, rules_of.placed(rules), left_out)
    made.load_rule()
    return made
