"""What decides on a path: task, graders and rule, by their references, which travel to other processes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rft_jax.errors import UserError
from rft_jax.select import rules as rules_of
from rft_jax.select.rules import Rule
from rft_jax.task import grader as graders_of
from rft_jax.task import task as tasks_of
from rft_jax.task.auditing import usable
from rft_jax.task.equations import Equations
from rft_jax.task.grader import Grader
from rft_jax.task.task import Task


@dataclasses.dataclass(frozen=True, slots=True)
class Criteria:
    """References, each the name of what is shipped or an absolute path of a Python file.

    Attributes:
        task: what was asked.
        graders: the one in use, then those that audit.
        rules: of the selection.
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
    known = tasks_of.load(task)
    in_use = grader or known.grader
    left_out: list[str] = []
    if audits is None:
        beside, left_out = usable(each for each in (known.grader, *known.audits) if each != in_use)
    else:
        beside = list(audits)
    references = tuple(dict.fromkeys(map(_placed, (in_use, *beside))))
    made = Criteria(_placed(task), references, _placed(rules), tuple(left_out))
    made.load_rule()
    by_name: dict[str, str] = {}
    for reference, each in zip(references, made.load_graders(), strict=True):
        if other := by_name.get(each.name):
            raise UserError(f"two graders are named '{each.name}': {other} and {reference}; rename one")
        by_name[each.name] = reference
    return made


def _placed(reference: str) -> str:
    # Whoever reads it later may stand in another folder.
    return str(Path(reference).absolute()) if reference.endswith(".py") else reference
