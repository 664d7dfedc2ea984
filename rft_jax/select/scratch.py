"""The scratch folder of a selection, beside its output; what killed selections left there goes.

A lock file in the folder tells whether its maker lives: the system drops the lock of a process that ends, however it
ends, and no number of a process can be mistaken for another's.
"""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from rft_jax.errors import UserError
from rft_jax.files import PARTIAL, this_process

_LOCK = "lock"


@contextlib.contextmanager
def scratch(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty folder beside `target`: the user expects to need space there, and /tmp may live in memory.

    Raises:
        UserError: it cannot be made.
    """
    try:
        _remove_dead(target.parent)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent))
        lock = _locked(folder)
    except OSError as error:
        raise UserError(f"cannot write to {target.parent}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: pathlib.Path) -> int:
    """Makes the lock file, locked before it has its name, and returns it open; its text is `this_process()`."""
    begun = folder / f"{_LOCK}{PARTIAL}"
    descriptor = os.open(begun, os.O_CREAT | os.O_RDWR, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks: then nobody can take this folder for dead
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, this_process().encode())
        begun.rename(folder / _LOCK)
    return descriptor


def _remove_dead(parent: pathlib.Path) -> None:
    for lock in parent.glob(f".*{PARTIAL}/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            maker = stream.read()
            shutil.rmtree(lock.parent, ignore_errors=True)
            if re.fullmatch(r"\d+-[0-9a-f]+", maker, re.ASCII):
                for begun in parent.glob(f".*.{maker}.*{PARTIAL}"):  # by `files.whole_file`
                    begun.unlink(missing_ok=True)
