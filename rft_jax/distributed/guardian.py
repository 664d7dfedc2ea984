"""A parent that watches a process of a run, so that however it ends there is one line, and exit code 1.

When a run's coordinator is lost, JAX's client aborts the process from a thread of its own, with a page of C++, and no
Python in the process can prevent that. So the process forks before it uses any device: the child does the work; the
parent passes signals on, and explains the child's end. What libraries say goes to a nameless file, of which the parent
tells the end if nothing else explains it. RFT_JAX_CHATTER shows it all instead, and so does NCCL_DEBUG.
"""

import contextlib
import ctypes
import os
import re
import resource
import signal
import socket
import sys
import tempfile
from types import FrameType
from typing import NoReturn

from rft_jax import stopping
from rft_jax.distributed.processes import Processes

_PR_SET_PDEATHSIG = 1
_INTERRUPTED = 130  # how a command ends that was asked to stop
_LOST = "JAX distributed service detected fatal errors"
_MEETING = "/RegisterTask"  # the call that waits for all
_TASK = re.compile(r"task[:/_ ]*(\d+)")
AGAIN = "finished work is kept; start all processes again with the same command"


def guard(processes: Processes) -> None:
    """Returns in the child; the parent ends when the child has ended."""
    asked_for = any(os.environ.get(name) for name in ("RFT_JAX_CHATTER", "NCCL_DEBUG"))
    chatter = None if asked_for else tempfile.TemporaryFile("w+b", 0)  # noqa: SIM115, it lasts as long as the process
    ours, theirs = socket.socketpair()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    parent = os.getpid()
    child = os.fork()
    if child:
        theirs.close()
        _watch(child, ours, chatter.fileno() if chatter else None, processes)
    ours.close()
    _follow(parent, theirs)
    if chatter is not None:
        _hide(chatter.fileno())


def _follow(parent: int, theirs: socket.socket) -> None:
    """Lets the parent's word be the only signal, and its end this process's."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # not Linux: then a thread sees the parent's end
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    stopping.follow(theirs)


def _hide(chatter: int) -> None:
    """Lets what is written to the standard streams by others than Python go to a file."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not None:
            setattr(sys, name, os.fdopen(os.dup(number), "w", 1, encoding=stream.encoding, errors=stream.errors))
        os.dup2(chatter, number)


def _watch(child: int, ours: socket.socket, chatter: int | None, processes: Processes) -> NoReturn:
    asked = False

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        with contextlib.suppress(OSError):  # it has just ended
            ours.send(bytes([number]))

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    with stopping.handled_elsewhere():
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        said = _read(chatter)
        print(f"error: {_explain(signal.Signals(-code).name, said, processes)}; {AGAIN}", file=sys.stderr)
        # Where all are asked to stop, the coordinator may be the first to go.
        code = _INTERRUPTED if asked and _LOST in said else 1
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


def _explain(ended_by: str, said: str, processes: Processes) -> str:
    me = "this process" if processes.number is None else f"process {processes.number}"
    if _LOST in said and _MEETING in said:
        return f"not all {processes.count or ''} processes came to process 0 at {processes.address} in time"
    if _LOST in said:
        others = {int(number) for number in _TASK.findall(said)} - {processes.number}
        where = f" at {processes.address}" if processes.address else ""
        lost = f"process {min(others)}" if others else f"process 0, the coordinator{where},"
        return f"{me} ends, as {lost} was lost"
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
    words = f" (the last that it said: {last.strip()[:200]})" if last else ""
    hint = ", perhaps for lack of memory" if ended_by == "SIGKILL" else ""
    return f"{me} was ended by {ended_by}{hint}{words}"


def _read(chatter: int | None) -> str:
    if chatter is None:
        return ""
    size = os.fstat(chatter).st_size
    return os.pread(chatter, 1 << 16, max(0, size - (1 << 16))).decode(errors="replace")
