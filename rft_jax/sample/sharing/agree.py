"""The processes of one run learn what its first process found out."""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from rft_jax.errors import UserError


def from_first(find: Callable[[], Any]) -> Any:
    """Calls a function on process 0 and returns its result on all of them; all must call this at the same point.

    Args:
        find: returns a JSON value. Its UserError is raised on all processes.
    """
    if jax.process_count() == 1:
        return find()
    message: dict[str, Any] = {}
    if jax.process_index() == 0:
        try:
            message = {"value": find()}
        except UserError as error:
            message = {"error": str(error)}
    content = json.dumps(message).encode()
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.frombuffer(content.ljust(size)[:size], np.uint8)  # all processes give an array of the first's size
    received = json.loads(np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes())
    if "error" in received:
        raise UserError(received["error"])
    return received["value"]
