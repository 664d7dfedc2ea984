"""The scratch folder of a selection, beside its output; what killed selections left there goes.

A lock file in the folder tells whether its maker lives: the system drops the lock of a process that ends, however it
ends, and no number of a process can be mistaken for another's. That holds on one machine; some file systems shared by
several keep the locks of each to itself, and some have none. So the maker also touches the lock file every minute, and
a folder of another machine is left alone until nobody has touched it for half an hour.
"""

import contextlib
import fcntl
import functools
import os
import pathlib
import platform
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from typing import IO

from rft_jax.errors import UserError
from rft_jax.files import PARTIAL, this_process

_LOCK = "lock"
_MARK = ".scratch-"  # in the name, which tells a folder that was killed before it had a lock
_TOUCH_S, _DEAD_S = 60.0, 1800.0


@contextlib.contextmanager
def scratch(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty folder beside `target`: the user expects to need space there, and /tmp may live in memory.

    Raises:
        UserError: it cannot be made.
    """
    folder = target.with_name(f".{target.name}{_MARK}{secrets.token_hex(8)}{PARTIAL}")
    lock = None
    done = threading.Event()
    try:  # Ctrl-C may come before the folder has its lock
        try:
            _remove_dead(target.parent)
            folder.mkdir(mode=0o700)
            lock = _locked(folder)
        except OSError as error:
            raise UserError(f"cannot write to {target.parent}: {error.strerror}") from error
        threading.Thread(target=_touch, args=(folder / _LOCK, done), name="scratch", daemon=True).start()
        yield folder
    finally:
        done.set()
        _remove(folder)
        if lock is not None:
            os.close(lock)


def _remove_dead(parent: pathlib.Path) -> None:
    """Removes the scratch folders of selections that have ended, and the files that these had begun to write."""
    for folder in parent.glob(f".*{_MARK}*{PARTIAL}"):
        with contextlib.suppress(OSError):  # another process was faster
            try:
                stream = (folder / _LOCK).open()
            except FileNotFoundError:  # killed before it had one or while it removed all, or not there yet
                if _forsaken(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            with stream:
                _remove_if_dead(folder, stream)


def _remove_if_dead(folder: pathlib.Path, lock: IO[str]) -> None:
    maker, _, machine = lock.read().partition(" ")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here = machine == _machine()
    except BlockingIOError:
        return
    except OSError:  # a file system without locks
        here = False
    if here or _forsaken(folder / _LOCK):
        _remove(folder)
        if re.fullmatch(r"\d+-[0-9a-f]+", maker, re.ASCII):
            for begun in folder.parent.glob(f".*.{maker}.*{PARTIAL}"):  # by `files.whole_file`
                begun.unlink(missing_ok=True)


def _remove(folder: pathlib.Path) -> None:
    # The lock last: if this is killed, the next one still knows whose folder it is.
    with contextlib.suppress(OSError):  # another process removes it, too
        for file in folder.iterdir():
            if file.name != _LOCK:
                file.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _forsaken(path: pathlib.Path) -> bool:
    return time.time() - path.stat().st_mtime > _DEAD_S


@functools.cache
def _machine() -> str:
    """Returns what tells the running kernel, to which its locks belong, from all others, after a restart too."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def _touch(lock: pathlib.Path, done: threading.Event) -> None:
    while not done.wait(_TOUCH_S):
        with contextlib.suppress(OSError):
            os.utime(lock)


def _locked(folder: pathlib.Path) -> int:
    """Makes the lock file, locked before it has its name, and returns it open; its text is its maker."""
    begun = folder / f"{_LOCK}{PARTIAL}"
    descriptor = os.open(begun, os.O_CREAT | os.O_RDWR, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, f"{this_process()} {_machine()}".encode())
    begun.rename(folder / _LOCK)
    return descriptor
