"""Which auditors there are on this machine: a shipped grader may need a package that is an extra."""

from collections.abc import Iterable

from rft_jax.errors import UserError
from rft_jax.task import grader as graders


def usable(references: Iterable[str]) -> tuple[list[str], list[str]]:
    """Returns the graders of a task's auditors that can be used here, and a line on each shipped one that cannot.

    What decides must be there, and so must what a user names; a task's own auditors are a convenience.

    Raises:
        UserError: a grader that is not shipped cannot be loaded.
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
