"""Before their first step the processes of a run compare what they are about to do; a difference ends all of them."""

import dataclasses
import json
import platform
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from rft_jax import provenance
from rft_jax.distributed import lifeline
from rft_jax.errors import UserError

_WAIT_MS = 3_600_000  # for the others to come as far; the lifeline ends this process if one is lost
_SEEN_S = 20.0  # in which a new file is to be seen on all hosts
_rounds = 0


def agree(what: Mapping[str, Any]) -> None:
    """Compares values among all processes; all of them call this at the same point.

    Args:
        what: names, for people, and JSON values or what has a repr.

    Raises:
        UserError: a process has another value; on all processes.
    """
    if lifeline.current() is None:
        return
    version = f"{provenance.code()} with jax {jax.__version__}"
    told = exchange({**{name: repr(value) for name, value in what.items()}, "code version": version})
    first, *others = told
    for number, other in enumerate(others, 1):
        for name in sorted(first.keys() | other.keys()):
            ours, theirs = first.get(name), other.get(name)
            if ours != theirs:
                values = f": {theirs}, not {ours}" if max(map(len, map(str, (ours, theirs)))) < 80 else ""
                raise UserError(
                    f"process {number} has another {name} than process 0{values}; start all processes with the same "
                    "command, on the same files and the same version"
                )


def settings(config: Any) -> dict[str, Any]:
    """Returns the fields of a config, a dataclass, under names for people."""
    return {f"config.{name}": value for name, value in dataclasses.asdict(config).items()}


def shared(folder: Path) -> None:
    """Makes sure that all processes see the same folder.

    Raises:
        UserError: one does not; on all processes.
    """
    if lifeline.current() is None:
        return
    name = exchange({"name": f".seen-by-all.{secrets.token_hex(4)}"})[0]["name"]
    mark = folder / name
    if jax.process_index() == 0:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    exchange({})  # nobody looks before it is there: NFS would remember for a minute that it was not
    try:
        limit = time.monotonic() + _SEEN_S
        while not (seen := mark.exists()) and time.monotonic() < limit:
            time.sleep(0.2)
        for number, other in enumerate(exchange({"seen": str(seen), "host": platform.node()})):
            if other["seen"] != str(True):
                raise UserError(
                    f"process {number} on {other['host']} does not see what process 0 writes to {folder.resolve()}: "
                    "give a folder that all hosts share"
                )
    finally:
        if jax.process_index() == 0:
            mark.unlink(missing_ok=True)


def exchange(ours: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what each process gave, JSON values, by number; all of them call this at the same point."""
    global _rounds
    line = lifeline.current()
    if line is None:
        return [ours]
    _rounds += 1
    folder = f"rft_jax/agreement/{_rounds}/"
    line.store.key_value_set(f"{folder}{line.number}", json.dumps(ours))
    return [json.loads(line.store.blocking_key_value_get(f"{folder}{i}", _WAIT_MS)) for i in range(line.count)]
