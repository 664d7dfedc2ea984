"""One command at a time writes a folder or a file; a second one is told who does."""

import contextlib
import fcntl
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rft_jax.errors import UserError
from rft_jax.files import make_folder

_LOOK_S = 0.1  # between two looks whether another has ended


@contextlib.contextmanager
def one_writer(target: Path, lock: Path | None = None, wait_s: float = 0.0) -> Iterator[None]:
    """Makes this process the only writer while it is entered; the system ends that with the process, however it ends.

    Where a file system has no locks, nobody is kept out.

    Args:
        target: the folder that is written, or what is.
        lock: the file that says so; by default `.writer` in the folder.
        wait_s: seconds in which another process may come to its end.

    Raises:
        UserError: another process writes it; the message says which.
    """
    lock = lock or target / ".writer"
    descriptor = _locked(target, lock, time.monotonic() + wait_s)
    try:
        with contextlib.suppress(OSError):  # on a full disk the lock holds as well
            os.ftruncate(descriptor, 0)
            words = f"process {os.getpid()}{_here()} {shlex.join(sys.argv)}"[:1000]
            os.write(descriptor, words.encode(errors="surrogateescape"))  # a file's name need not be UTF-8
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Makes a folder, if it is not there, and this process its only writer while it is entered.

    What killed processes left unfinished there is removed; on exit also the folder, if it is new and still empty.

    Raises:
        UserError: it cannot be made or written, or another process writes it; the message says which.
    """
    new = not folder.exists()
    make_folder(folder, clean=False)
    try:
        with one_writer(folder):
            make_folder(folder)
            yield
    finally:
        if new:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def abandoned(lock: Path) -> Iterator[bool]:
    """Yields whether the process of this host that made a lock file was killed; if so, removes the file on exit.

    Args:
        lock: of a `one_writer`, whose target nobody enters again.
    """
    with contextlib.ExitStack() as exits:
        dead = False
        with contextlib.suppress(OSError):  # it is held or gone, or there are no locks here
            stream = exits.enter_context(lock.open("rb"))
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # One that came to its end has removed the file before it let go; another host's may be held unseen.
            dead = os.path.samestat(os.fstat(stream.fileno()), lock.stat()) and _here().encode() in stream.read()
        yield dead
        if dead:
            lock.unlink(missing_ok=True)


def _here() -> str:
    return f" on {platform.node()}:"


def _locked(target: Path, lock: Path, until: float) -> int:
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            if time.monotonic() < until:
                time.sleep(_LOOK_S)
                continue
            raise UserError(f"{target} is being written by {holder}; wait until it ends, or write elsewhere") from None
        except OSError:
            return descriptor
        # The one that held it may have removed the file meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)
