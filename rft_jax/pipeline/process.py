"""Running a command that ends when we are asked to end; its progress bar goes to our terminal, its output to a log."""

import codecs
import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from rft_jax import stopping

INTERRUPTED = 130  # how a command ends that was asked to stop and has saved


def run(arguments: Sequence[str], keep_open: int, started: Callable[[int], None]) -> int:
    """Runs a command and returns its exit code; its output goes where ours does.

    A signal that would end us ends the command first, and is then raised as KeyboardInterrupt.

    Args:
        arguments: the program and its arguments.
        keep_open: file descriptor of a lock that stays held while the command runs, even if we are killed.
        started: called with the id of its process.
    """
    with _PassedOn() as signals:
        return signals.wait(_start(arguments, None, keep_open, started, signals))


def run_logged(arguments: Sequence[str], log: Path, keep_open: int, started: Callable[[int], None]) -> int:
    """Runs a command as `run` does, but its output goes to a log.

    Its progress bars are shown if stderr is a terminal; everything else goes to the log, which is appended to.
    """
    shows = sys.stderr.isatty()
    ours, theirs = pty.openpty() if shows else os.pipe()
    if shows:
        with contextlib.suppress(OSError):  # its bars need the terminal's width
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(sys.stderr, termios.TIOCGWINSZ, bytes(8)))
    try:
        with _PassedOn() as signals, log.open("a", encoding="utf-8") as file:
            process = _start(arguments, theirs, keep_open, started, signals)
            os.close(theirs)
            for lines, bar in _lines(ours):
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                if shows:
                    sys.stderr.write(f"\r\x1b[K{bar}")
                    sys.stderr.flush()
            return signals.wait(process)
    finally:
        os.close(ours)
        if shows:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _start(
    arguments: Sequence[str],
    output: int | None,
    keep_open: int,
    started: Callable[[int], None],
    signals: "_PassedOn",
) -> subprocess.Popen[bytes]:
    # A session of its own, so that Ctrl-C reaches it once, through us: the trainer takes a second one as "now".
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(keep_open,),
        start_new_session=True,
    )
    started(process.pid)
    signals.pass_to(process)
    return process


def _lines(descriptor: int) -> Iterator[tuple[list[str], str]]:
    """Yields the completed lines, and the current text of the incomplete one: a bar, or the start of a line."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError:  # how a pseudo-terminal signals its end
            data = b""
        *lines, rest = (rest + decoder.decode(data, final=not data)).replace("\r\n", "\n").split("\n")
        # Drop what a carriage return has overwritten; one at the very end may be half of \r\n.
        rest = rest[rest.rfind("\r", 0, -1) + 1 :]
        if not data:
            yield [*lines, rest] if rest.strip() else lines, ""
            return
        yield [line[line.rfind("\r") + 1 :] for line in lines], rest.rstrip("\r")


class _PassedOn:
    """Passes SIGINT and SIGTERM on to a command while it is entered, each of them.

    A child inherits ignored signals, for instance Ctrl-C in a script's background job, but not handlers.

    Attributes:
        number: of the last signal, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._early: int | None = None  # of one that came before the command did
        self._process: subprocess.Popen[bytes] | None = None
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> "_PassedOn":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._exits.callback(signal.signal, number, signal.signal(number, self._pass))
        self._exits.enter_context(stopping.handled_elsewhere())
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def pass_to(self, process: subprocess.Popen[bytes]) -> None:
        """Passes signals on to a command from now on, and the one that came before it."""
        self._process = process
        # Not `number`, which the handler may have passed on since the line above.
        if self._early is not None:
            process.send_signal(self._early)

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Waits for a command and returns its exit code; raises KeyboardInterrupt if there was a signal."""
        code = process.wait()
        if self.number is not None:
            raise KeyboardInterrupt
        return code

    def _pass(self, number: int, frame: FrameType | None) -> None:
        # Waiting for it here would lock up the main thread, which may be waiting for it too.
        self.number = number
        if self._process is None:
            self._early = number
        else:
            self._process.send_signal(number)


def last_line(log: Path) -> str:
    """Returns the last `error:` line of a log, or else its last line that is not blank."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it printed nothing"])[-1].removeprefix("error:").strip()
