"""One attempt at a stage: its record is begun, counts the seconds as they pass, and is finished.

Several workers may attempt one stage. The record is changed under a lock, and each that succeeds writes down the
outputs, so the last one's record is of what is there in the end.
"""

import contextlib
import dataclasses
import fcntl
import os
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from rft_jax.errors import UserError
from rft_jax.pipeline.stage import Record, Stage, fingerprint, outputs_of

TICK_S = 10.0  # a killed attempt is counted up to here


class Attempt:
    """An attempt that is begun; in a `with` block a thread counts its seconds."""

    def __init__(self, stage: Stage, folder: Path, arguments: Sequence[str]) -> None:
        """Begins the stage's record. The caller is alone with it (`alone`).

        Args:
            stage: whose stages before are done.
            folder: of the stage; it exists.
            arguments: the stage's command, for people.
        """
        self._stage, self._folder = stage, folder
        self._more = {"name": stage.name, "kind": stage.kind, "command": shlex.join(arguments)}
        before = Record.read(folder)
        record = Record(
            done=False,
            flags=(*stage.flags, *stage.late()),
            inputs={flag: fingerprint(reads) for flag, reads in stage.reads.items()},
            seconds=before.seconds if before else 0.0,
            counted=before.counted if before else 0.0,
        )
        record.write(folder, self._more)
        self._counted = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count_on, name="seconds", daemon=True)

    def __enter__(self) -> "Attempt":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._count()

    def complete(self) -> bool:
        """Returns whether the command has made all that it was to make."""
        return all((self._folder / name).exists() for name in self._stage.output)

    def finish(self) -> None:
        """Records that the stage is done, and what it has made."""
        with alone(self._folder):
            if record := Record.read(self._folder):
                done = dataclasses.replace(record, done=True, outputs=outputs_of(self._stage, self._folder))
                done.write(self._folder, self._more)

    def _count_on(self) -> None:
        while not self._stop.wait(TICK_S):
            self._count()

    def _count(self) -> None:
        with contextlib.suppress(UserError), alone(self._folder):  # a full disk is the command's to tell
            if record := Record.read(self._folder):
                now = time.time()
                passed = max(0.0, now - max(self._counted, record.counted))
                dataclasses.replace(record, seconds=record.seconds + passed, counted=now).write(
                    self._folder, self._more
                )
                self._counted = now


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until nobody else decides on a stage or changes its record; where there are no locks it does not.

    Args:
        folder: of the stage; the lock is beside it, as it may be put aside.

    Raises:
        UserError: the lock cannot be made.
    """
    try:
        descriptor = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"cannot write {folder.parent}: {error.strerror}") from error
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
