"""Running a command: its progress bar on our terminal, its text in a log, its end when we end."""

import codecs
import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path

from rft_jax.errors import UserError


def run(arguments: Sequence[str], log: Path, keep_open: int) -> int:
    """Runs a command and returns its exit code.

    Its bars show when stderr is a terminal; all else goes to the log. A signal that ends us ends it first, and is then
    raised as KeyboardInterrupt.

    Args:
        arguments: of the command, its program first.
        log: file to append to.
        keep_open: a file descriptor, a lock, that stays taken while the command runs, even when we are killed.
    """
    shows = sys.stderr.isatty()
    ours, theirs = pty.openpty() if shows else os.pipe()
    if shows:
        with contextlib.suppress(OSError):  # its bars ask how wide the terminal is
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(sys.stderr, termios.TIOCGWINSZ, bytes(8)))
    try:
        with _stop_with_us() as started, log.open("a", encoding="utf-8") as file:
            # Its own session, so that Ctrl-C reaches it once, through us: twice means "at once" to the trainer.
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                pass_fds=(keep_open,),
                start_new_session=True,
            )
            started.append(process)
            os.close(theirs)
            for lines, bar in _lines(ours):
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                if shows:
                    sys.stderr.write(f"\r\x1b[K{bar}")
                    sys.stderr.flush()
            return process.wait()
    finally:
        os.close(ours)
        if shows:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _lines(descriptor: int) -> Iterator[tuple[list[str], str]]:
    """Yields the lines that came to an end, and what stands in the last one: a bar, or the beginning of a line."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except OSError:  # so a pseudo-terminal ends
            data = b""
        *lines, rest = (rest + decoder.decode(data, final=not data)).replace("\r\n", "\n").split("\n")
        # What a carriage return has overwritten is gone; one at the very end may be half a line's end.
        rest = rest[rest.rfind("\r", 0, -1) + 1 :]
        if not data:
            yield [*lines, rest] if rest.strip() else lines, ""
            return
        yield [line[line.rfind("\r") + 1 :] for line in lines], rest.rstrip("\r")


@contextlib.contextmanager
def _stop_with_us() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yields a list for the process to stop. To be entered before it starts.

    For a process inherits what is ignored, Ctrl-C for instance in the background of a script, but no handler.
    """
    started: list[subprocess.Popen[bytes]] = []

    def stop(number: int, _: object) -> None:
        for process in started:
            process.send_signal(number)
            process.wait()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[int]:
    """Holds a folder for this pipeline and its commands; yields the descriptor to pass on.

    Raises:
        UserError: another pipeline, or a command that a killed one left running, holds it.
    """
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"another pipeline, or a command that a killed one left running, works in {folder}: wait for its end"
            ) from None
        yield file.fileno()


def last_line(log: Path) -> str:
    """Returns the last line of a log that says something, the last one that begins with `error:` if there is one."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["it printed nothing"])[-1].removeprefix("error:").strip()
