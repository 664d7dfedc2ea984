"""The one exception that means: the user can fix this."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input or the settings, as one line: what is wrong, where, and what to do.

    `command.run` prints the line and exits with 1; tracebacks are for bugs of ours.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " (did you mean 'x'?)" for the nearest of the known names, or "" when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""
