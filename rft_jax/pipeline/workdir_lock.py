"""One pipeline at a time in a workdir, or any number of jobs that each do one stage.

The lock's file says who holds it, and which command it runs. A pipeline that is killed leaves that command running: the
next start ends it, as its output has nowhere to go any more. Asked by SIGTERM it saves, so nothing is lost.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rft_jax import stopping
from rft_jax.errors import UserError
from rft_jax.sample.sharing import host

_PATIENCE_S = 5.0  # beyond what a command may take to stop


@dataclasses.dataclass(frozen=True)
class Holder:
    """A pipeline that holds the lock, or held it when it was killed.

    Attributes:
        words: the process, for people.
        pipeline: its identity.
        stage: the stage that it runs, or "".
        command: identity of that stage's process, or "".
    """

    words: str
    pipeline: str
    stage: str = ""
    command: str = ""


class Lock:
    """A lock that is held, also by the commands that inherit its descriptor, even if this process is killed.

    Attributes:
        descriptor: of its file.
    """

    def __init__(self, descriptor: int, holder: Holder | None) -> None:
        self.descriptor = descriptor
        self._holder = holder

    def runs(self, stage: str, process: int | None = None) -> None:
        """Writes down which stage is begun, and then the id of its command's process."""
        if self._holder:
            command = "" if process is None else host.identity(process)
            _write(self.descriptor, dataclasses.replace(self._holder, stage=stage, command=command))


@contextlib.contextmanager
def lock(workdir: Path, *, shared: bool = False) -> Iterator[Lock]:
    """Locks a workdir. What a killed pipeline on this machine left running is ended first.

    Where a file system has no locks, nobody is kept out.

    Args:
        workdir: of the pipeline; it exists.
        shared: others may share it likewise: the jobs of one pipeline.

    Raises:
        UserError: a pipeline or its jobs are at work there, or a command on another machine; the message says which.
    """
    try:
        descriptor = os.open(workdir / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot write {workdir}: {error.strerror}") from error
    try:
        _acquire(descriptor, workdir, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        words = f"process {os.getpid()} on {platform.node()} ({shlex.join(sys.argv)[:500]})"
        holder = None if shared else Holder(words, host.identity())
        _write(descriptor, holder)
        try:
            yield Lock(descriptor, holder)
        finally:
            _write(descriptor, None)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, workdir: Path, way: int) -> None:
    patient = 0.0
    while True:
        holder = read(descriptor)
        # Where locks are not inherited (NFS), the lock is free and the command runs.
        if holder and not host.running_here(holder.pipeline) and (process := host.running_here(holder.command)):
            _end(process, holder)
            patient = time.monotonic() + _PATIENCE_S
        try:
            fcntl.flock(descriptor, way | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # The command's own children may take a moment longer.
            if not patient and holder and host.gone(holder.pipeline):
                if (process := _inheritor(descriptor)) is not None:  # it was killed before it wrote down which
                    _end(process, holder)
                patient = time.monotonic() + _PATIENCE_S
            if time.monotonic() < patient:
                stopping.pause(0.1)
                continue
        except OSError:
            return
        if holder is None:
            raise UserError(
                f"jobs of a pipeline (--submit=slurm) are running in {workdir}: wait until they end, or cancel them"
            )
        if host.gone(holder.pipeline):
            raise UserError(
                f"{workdir} is in use by a command{holder.stage and f' of stage {holder.stage}'} that a killed "
                f"pipeline, {holder.words}, left running: wait until it ends, or end it"
            )
        raise UserError(
            f"another pipeline, or a command that it left running, is using {workdir}: {holder.words}; wait until it "
            "ends, or end it there"
        )


def _inheritor(descriptor: int) -> int | None:
    """Returns the process of this user that has the lock's file open and leads a session, as a stage's command does."""
    lock = os.fstat(descriptor)
    for process in (int(folder.name) for folder in Path("/proc").glob("[0-9]*")):
        with contextlib.suppress(OSError):  # it ended, or is another user's
            if process != os.getpid() and os.getsid(process) == process:
                for file in Path(f"/proc/{process}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if os.path.samestat(lock, file.stat()):
                            return process
    return None


def _end(process: int, holder: Holder) -> None:
    """Ends a command: asks it to save and stop, and kills it and its children if it does not."""
    command = host.identity(process)
    print(
        f"stage {holder.stage} was left running by a killed pipeline (process {process}): asking it to save and stop",
        flush=True,
    )
    try:
        os.kill(process, signal.SIGTERM)
        if not _within(stopping.grace() + _PATIENCE_S, lambda: host.running_here(command) is None):
            os.killpg(process, signal.SIGKILL)  # it leads a session of its own
            _within(_PATIENCE_S, lambda: host.running_here(command) is None)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise UserError(
            f"stage {holder.stage} was left running by a killed pipeline of another user, as process {process}: ask "
            "them to end it"
        ) from error


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    limit = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > limit:
            return False
        stopping.pause(0.05)
    return True


def read(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, 1 << 16, 0)))
    except (OSError, ValueError, TypeError):
        return None


def _write(descriptor: int, holder: Holder | None) -> None:
    with contextlib.suppress(OSError):  # on a full disk the lock holds as well
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(dataclasses.asdict(holder)).encode() if holder else b"", 0)
