"""Numbers in environment variables of our own: right, or one line that names the variable."""

import os
import threading

from rft_jax.errors import UserError


def seconds(name: str, default: float, *, least: float = 0.0) -> float:
    """Returns the seconds that an environment variable gives, `default` if it is not set or empty.

    Raises:
        UserError: it is no number, or less than `least`.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= threading.TIMEOUT_MAX:
        raise UserError(f"{name}={text}: give a number of seconds, at least {least:g}, or unset it for {default:g}")
    return value
