"""Who a process is, among all processes of all machines, and whether one of this machine is gone."""

import os
import platform
import re
import uuid
from pathlib import Path


def identity(process: int | None = None) -> str:
    """Returns a name that no other process on any machine has; it fits into a file's name.

    Args:
        process: id of a process on this machine; None: this one.
    """
    process = os.getpid() if process is None else process
    return f"{_MACHINE}.{process}.{_start(process) or 0}"


def running_here(name: str) -> int | None:
    """Returns the id of a process that runs on this machine, or None if it does not, or that cannot be known.

    Args:
        name: its identity.
    """
    machine, _, process = name.rpartition(".")[0].rpartition(".")
    here = machine == _MACHINE and process.isdigit() and _start(int(process)) == name.rpartition(".")[2]
    return int(process) if here else None


def gone(name: str) -> bool:
    """Tells whether a process ran on this machine and has ended; False where that cannot be known.

    Args:
        name: its identity.
    """
    machine, _, process = name.rpartition(".")[0].rpartition(".")
    if machine != _MACHINE or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)  # unlike /proc it also tells of the processes of other users
    except ProcessLookupError:
        return True
    except OSError:
        return False
    start = _start(int(process))
    return start is not None and start != name.rpartition(".")[2]


def _start(process: int) -> str | None:
    """Returns when a process started, in ticks after the boot; "ended" if nobody has waited for it, None if unknown."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the process's name before may hold spaces
    return "ended" if state in "ZX" else fields[18]


def _machine() -> str:
    """Returns the name of the machine until its next boot, and of the container: process ids mean nothing outside."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        namespace = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
        if Path("/proc/self").readlink().name != str(os.getpid()):
            raise OSError("/proc is of other process ids")
    except OSError:
        boot, namespace = uuid.uuid4().hex, "0"  # no Linux: no other process has this name
    return f"{re.sub(r'[^A-Za-z0-9-]', '-', platform.node())}.{boot[:13]}.{namespace}"


_MACHINE = _machine()
