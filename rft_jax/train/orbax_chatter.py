"""What Orbax's threads tell of a failed save or restore, besides raising it where we wait for it: pages of tracebacks.

A failure is told in one line by whoever waits. So what Orbax logs of it, and what Python reports of its unfinished
coroutines, is dropped.
"""

import functools
import logging
import sys
from typing import Any


@functools.cache
def silence() -> None:
    """Drops it from now on, for the whole process, as the coroutines are reported after the last use of Orbax."""
    logging.getLogger("absl").addFilter(_not_of_orbax)
    otherwise = sys.unraisablehook

    def report(unraisable: Any) -> None:
        code = getattr(unraisable.object, "cr_code", None)
        of_orbax = code is not None and "orbax" in code.co_filename
        if not of_orbax and "Event loop is closed" not in str(unraisable.exc_value):
            otherwise(unraisable)

    sys.unraisablehook = report


def _not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname or record.levelno < logging.ERROR
