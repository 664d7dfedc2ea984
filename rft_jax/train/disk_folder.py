"""The folder of a run's checkpoints on a disk.

A step is written under a temporary name, so a folder with a number for a name is whole.
"""

import logging
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from rft_jax.remote import given
from rft_jax.remote.address import is_remote
from rft_jax.train import manifest
from rft_jax.train.plain_name import plain_name

log = logging.getLogger(__name__)

STATE, ORIGIN = "state", "origin"  # in the folder of a step
ORIGIN_FILE = f"{ORIGIN}/metadata"
_HALF = "*.orbax-checkpoint-tmp*"
_ERRORS = {
    "No space left": "no room left",
    "RESOURCE_EXHAUSTED": "no room left",
    "Disk quota": "the disk quota is used up",
    "Permission denied": "permission denied",
    "Read-only file system": "the file system is read-only",
}


class DiskFolder:
    """A folder on a disk; bucket_folder.py has the other kind."""

    flag = "--workdir"  # what the user gives for another one

    def __init__(self, path: Path) -> None:
        """Knows where it is; it need not exist."""
        self._path = path.absolute()

    def __str__(self) -> str:
        """Returns its name, for people."""
        return str(self._path)

    def steps(self) -> list[int]:
        """Returns the steps of the whole checkpoints, ascending."""
        return saved_steps(self._path)

    def fault(self, step: int, part: int, parts: int) -> str | None:
        """Returns what is wrong with this part of a step, or None; processes share the work."""
        return fault(self._path / str(step), part, parts)

    def origin(self, step: int) -> str:
        """Returns the text of what a step belongs to; raises OSError or UserError."""
        return (self._path / str(step) / ORIGIN_FILE).read_text(encoding="utf-8")

    def fate(self, step: int) -> str:
        """Tells what becomes of a damaged step."""
        return f"keeping the damaged one as {self._aside(step).name}"

    def tidy(self, damaged: list[int]) -> None:
        """Removes what a killed process left half written, and sets damaged steps aside."""
        for half in self._path.glob(_HALF):  # Orbax's own cleaning goes on in the background, beside our first save
            shutil.rmtree(half)
        for step in damaged:
            shutil.rmtree(self._aside(step), ignore_errors=True)
            (self._path / str(step)).rename(self._aside(step))

    def for_orbax(self) -> AbstractContextManager[str | Path]:
        """Yields the folder, which is made, as Orbax understands it."""
        self._path.mkdir(parents=True, exist_ok=True)
        return plain_name(self._path)

    def state(self, step: int) -> AbstractContextManager[str | Path]:
        """Yields the folder of a step's arrays as Orbax understands it."""
        return plain_name(self._path / str(step) / STATE)

    def seal(self, step: int) -> None:
        """Writes the checksums of a step, when all of it is there and before it gets its name."""
        for unnamed in self._path.glob(_HALF):  # one: the next save waits for this one
            manifest.write(unnamed)

    def reason(self, error: Exception) -> str | None:
        """Returns in a line why the folder could not be written, or None if the error is about something else."""
        text = str(error)  # Orbax and tensorstore tell of a full or forbidden disk in many ways
        sign = next((sign for sign in _ERRORS if sign in text), None)
        if sign is not None:
            return _ERRORS[sign]
        return error.strerror or text.splitlines()[0] if isinstance(error, OSError) else None

    def _aside(self, step: int) -> Path:
        return self._path / f"{step}.damaged"


def saved_steps(folder: Path) -> list[int]:
    """Returns the steps of the whole checkpoints in a folder, ascending."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def fault(folder: Path, part: int, parts: int) -> str | None:
    """Returns what is wrong with this part of a step's folder, or None."""
    if manifest.exists(folder):
        return manifest.fault(folder, part, parts)
    if not (folder / STATE).is_dir() or not (folder / ORIGIN).is_dir():
        return f"{STATE} or {ORIGIN} is missing"
    if is_remote(given.name_of(str(folder))):  # a copy: in a bucket, half a step has its last name
        return f"{manifest.NAME} is missing"
    log.warning("%s has no checksums, as if an earlier version had saved it: it is taken as it is", folder)
    return None
