"""Which graders look at every path: the one in use, and those that audit it."""

from collections.abc import Iterable, Sequence

from rft_jax import plugin
from rft_jax.errors import UserError
from rft_jax.task import grader as graders
from rft_jax.task.task import Task


def choose(task: Task, grader: str | None, audits: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the references of the graders, the one in use first, and a line on each that cannot be used here.

    Args:
        task: whose graders they are where none are given.
        grader: decides what is right: a shipped name or a Python file; None: the task's.
        audits: look at every path beside it; None: the task's grader and auditors, as far as they do not decide.

    Raises:
        UserError: a grader is not there, or two have one name.
    """
    in_use = grader or task.grader
    left_out: list[str] = []
    if audits is None:
        beside, left_out = _usable(each for each in (task.grader, *task.audits) if each != in_use)
    else:
        beside = list(audits)
    references = tuple(dict.fromkeys(map(plugin.placed, (in_use, *beside))))
    by_name: dict[str, str] = {}
    for reference in references:
        name = graders.load(reference).name
        if other := by_name.get(name):
            raise UserError(f"two graders are named '{name}': {other} and {reference}; rename one")
        by_name[name] = reference
    return references, tuple(left_out)


def _usable(references: Iterable[str]) -> tuple[list[str], list[str]]:
    """Returns the auditors that can be used here, and a line on each shipped one that lacks its package.

    What decides must be there, and so must what a user names; a task's own auditors are a convenience.
    """
    there, left_out = [], []
    for reference in references:
        try:
            graders.load(reference)
        except UserError as error:
            if reference not in graders.SHIPPED:
                raise
            left_out.append(f"{error}; it does not audit here")
        else:
            there.append(reference)
    return there, left_out
