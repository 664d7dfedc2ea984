"""Files and folders that appear whole or not at all.

A stage may be killed at any moment, and the next one must never see half a file. So everything is written under a
temporary name in its destination folder (a rename is atomic only within one file system), synced to disk, and then
renamed. Whatever a killed process leaves behind has the suffix `PARTIAL`.
"""

import contextlib
import itertools
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from rft_jax.errors import UserError

PARTIAL = ".partial"
# Processes on several machines may write the same target, and containers often have the same process ids.
_TOKEN = secrets.token_hex(4)
_numbers = itertools.count()


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path to write to; on a clean exit it becomes `path`, on any exception it is removed.

    Raises:
        UserError: the folder is missing, not writable, or its disk is full.
    """
    target = Path(path)
    with _temporary_file(target) as temporary:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder to fill; on a clean exit it becomes `path`, on any exception it is removed.

    An existing folder of that name is replaced. A directory cannot be renamed over a non-empty one, so the old one is
    moved aside first: a kill between the two renames leaves `path` missing, never mixed.

    Raises:
        UserError: the parent is missing, not writable, or its disk is full.
    """
    target = Path(path)
    temporary = _temporary_name(target)
    try:
        with _one_line_for_disk_errors(target):
            temporary.mkdir()
            yield temporary
            for file in temporary.rglob("*"):
                _sync(file)
            _sync(temporary)
            if target.exists():
                replaced = target.with_name(f"{temporary.name}.replaced")
                target.rename(replaced)
                temporary.rename(target)
                shutil.rmtree(replaced)
            else:
                temporary.rename(target)
            _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_to_replace(inputs: Iterable[str | os.PathLike[str]], *outputs: str | os.PathLike[str]) -> None:
    """Raises UserError where a file that is to be written is one that is read."""
    read = set(map(os.path.realpath, inputs))
    for output in outputs:
        if os.path.realpath(output) in read:
            raise UserError(f"{os.fspath(output)} is to be read and written: write elsewhere")


def create_file(path: str | os.PathLike[str], content: bytes) -> bool:
    """Creates a file with this content, unless one of that name exists: of several processes that try, one succeeds.

    Returns:
        Whether this call made the file.

    Raises:
        UserError: the folder is missing, not writable, or its disk is full.
    """
    target = Path(path)
    with _temporary_file(target) as temporary:
        temporary.write_bytes(content)
        _sync(temporary)
        try:
            os.link(temporary, target)
        except FileExistsError:
            # Where the server's first reply got lost, the link that exists is ours.
            return temporary.stat().st_nlink > 1
        except OSError:  # no hard links here: a kill in the middle of this leaves the file cut
            try:
                with target.open("xb") as stream:
                    stream.write(content)
            except FileExistsError:
                return False
            _sync(target)
        _sync(target.parent)
        return True


def this_process() -> str:
    """Returns what the names of this process's temporary files have after their targets' names."""
    return f"{os.getpid()}-{_TOKEN}"


def names(folder: str | os.PathLike[str]) -> list[str]:
    """Returns the names in a folder, in no order, without making a Path of each; raises OSError."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def make_folder(path: str | os.PathLike[str], *, clean: bool = True) -> None:
    """Makes a folder and its parents if needed.

    Args:
        path: of the folder.
        clean: whether to remove unfinished leftovers of killed processes from it; nobody else may be writing there.

    Raises:
        UserError: it cannot be made, or a file of that name exists.
    """
    folder = Path(path)
    with _one_line_for_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        leftovers = (*folder.glob(f".*{PARTIAL}"), *folder.glob(f".*{PARTIAL}.replaced")) if clean else ()
        for leftover in leftovers:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)  # another process may be removing it too
            else:
                leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def _temporary_file(target: Path) -> Iterator[Path]:
    temporary = _temporary_name(target)
    try:
        with _one_line_for_disk_errors(target):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{this_process()}.{next(_numbers)}{PARTIAL}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _one_line_for_disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; nothing was written there") from error
