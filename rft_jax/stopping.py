"""Ctrl-C and SIGTERM at any moment: what can be saved is, and the command ends with 130, whatever its main thread does.

A handler of Python's runs only when the main thread is done with what it waits for, and that may be a program that
compiles for minutes, or another process. So a thread reads the signals too, and ends the command if it must.
"""

import contextlib
import enum
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from rft_jax import environment

GRACE_S = 25.0  # after SIGTERM, unless RFT_JAX_GRACE_S says otherwise; SLURM and Kubernetes kill after 30 s
_SIGNALS = signal.SIGINT, signal.SIGTERM
INTERRUPTED = "interrupted; finished work is kept, and the same command continues from there"


class Interrupted(KeyboardInterrupt):
    """The command was asked to stop and has saved; the message says how to go on."""


class _Way(enum.Enum):
    """What a signal does."""

    RAISE = enum.auto()  # KeyboardInterrupt in the main thread, whose `with` blocks clean up
    LEAVE = enum.auto()  # ends the process where it is
    WISH = enum.auto()  # sets `asked`, which the main thread follows
    ELSEWHERE = enum.auto()  # the main thread has handlers of its own


class _Stopping:
    def __init__(self) -> None:
        self.way = _Way.RAISE
        self.asked = threading.Event()
        self.timed = False  # whether SIGTERM has set how long that may take
        self.after = ""  # what the main thread does first, for people


_now = _Stopping()


def catch() -> None:
    """Lets SIGINT and SIGTERM raise KeyboardInterrupt in the main thread; GRACE_S after SIGTERM the process ends.

    Raises:
        UserError: RFT_JAX_GRACE_S is no number of seconds.
    """
    grace()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    for number in _SIGNALS:
        signal.signal(number, _raise)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    # A child's signals are not ours.
    os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_follow, args=(ours, theirs), name="signals", daemon=True).start()


def follow(signals: socket.socket) -> None:
    """Takes the numbers of signals from a socket, and no others; the process ends when the socket does."""
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: None)  # not SIG_IGN, which children would inherit
    threading.Thread(target=_follow, args=(signals, None), name="signals", daemon=True).start()


def leave_at_once() -> None:
    """From now on the process ends where it is. Call it before it uses devices.

    A KeyboardInterrupt raised while JAX is tracing is swallowed or becomes another error, and an interpreter that shuts
    down while devices compute may crash. Nothing is lost: files appear whole or not at all (files.py), and a killed
    process's leftovers are recognised by their suffix.
    """
    _now.way = _Way.LEAVE


@contextlib.contextmanager
def asked_first(after: str) -> Iterator[None]:
    """While it is entered, the first signal only sets what `asked()` returns; a second one ends the process.

    Args:
        after: what is done before the command stops, for people.
    """
    _now.after = after
    with _do(_Way.WISH):
        yield


@contextlib.contextmanager
def handled_elsewhere() -> Iterator[None]:
    """While it is entered, the caller's own handlers act; but some seconds after SIGTERM the process ends."""
    with _do(_Way.ELSEWHERE):
        yield


@contextlib.contextmanager
def _do(way: _Way) -> Iterator[None]:
    before, _now.way = _now.way, way
    try:
        yield
    finally:
        _now.way = before


def asked() -> bool:
    """Returns whether this process was asked to stop."""
    return _now.asked.is_set()


def ask() -> None:
    """Asks this process to stop, as if by a signal that it follows when it can."""
    _now.asked.set()


def check() -> None:
    """Raises Interrupted if this process was asked to stop."""
    if asked():
        raise Interrupted(INTERRUPTED)


def pause(seconds: float) -> None:
    """Sleeps; raises Interrupted as soon as this process is asked to stop."""
    _now.asked.wait(seconds)
    check()


def say(line: str) -> None:
    """Writes a line to stderr, whatever other threads do with it, and within a second or not at all."""

    def write() -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))

    thread = threading.Thread(target=write, daemon=True)  # whoever reads it may have stopped reading
    thread.start()
    thread.join(1)


def end(code: int) -> NoReturn:
    """Ends the process: at once if it uses devices, whose threads may not end well, otherwise by SystemExit."""
    if _now.way is _Way.LEAVE:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _raise(number: int, frame: FrameType | None) -> None:
    if _now.way is _Way.RAISE:
        raise KeyboardInterrupt


def _follow(signals: socket.socket, held: socket.socket | None) -> None:
    """Acts on numbers of signals; `held` stays open as long as this runs."""
    while numbers := signals.recv(64):
        for number in set(numbers) & set(_SIGNALS):
            if number == signal.SIGTERM and _now.timed:
                # A scheduler tells the process itself and those that pass it on, so it may come several times.
                continue
            if _now.way is _Way.LEAVE or (_now.asked.is_set() and _now.way is not _Way.ELSEWHERE):
                _leave()
            if _now.way is _Way.WISH:
                hint = "; again to stop at once" if number == signal.SIGINT else ""
                say(f"{signal.Signals(number).name}: {_now.after}, then stopping{hint}")
            _now.asked.set()
            if number == signal.SIGTERM:
                _now.timed = True
                # Whoever passes the signal on has to outlive those whom it tells.
                timer = threading.Timer(grace() + 3 * (_now.way is _Way.ELSEWHERE), _leave)
                timer.daemon = True
                timer.start()
    os._exit(1)  # whoever sent them is gone


def grace() -> float:
    """Returns for how many seconds after SIGTERM a command may go on.

    Raises:
        UserError: RFT_JAX_GRACE_S is no number of seconds.
    """
    return environment.seconds("RFT_JAX_GRACE_S", GRACE_S)


def _leave() -> None:
    bar_above = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""
    say(f"{bar_above}error: {INTERRUPTED}")
    os._exit(130)


def _forget() -> None:
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
