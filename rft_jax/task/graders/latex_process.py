"""The process in which LaTeX is read: started when it is first needed, killed when it is too slow, then started anew.

It speaks lines of JSON: it begins with `{"ready": true}`, and answers `{"text": …}` with `{"form": …, "also": […]}`.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rft_jax.errors import UserError

WORKER = "rft_jax.task.graders.latex_worker"
# The worker limits its own processor time per answer (see there), so that a busy machine loses no answer. These are
# the seconds on the clock after which it hangs for another reason.
SECONDS_PER_ANSWER = 60.0
SECONDS_TO_START = 120.0
_MAX_REPLY = 1 << 20


class Reply(NamedTuple):
    """What the worker read. A form of None: it is no LaTeX that the library knows."""

    form: str | None
    also: tuple[str, ...]


class LatexProcess:
    """Asks one worker after the other.

    Attributes:
        killed: requests that ended with the worker's death or were no answer in time.
    """

    def __init__(
        self, command: Sequence[str] = (sys.executable, "-P", "-m", WORKER), seconds: float = SECONDS_PER_ANSWER
    ) -> None:
        self.killed = 0
        self._command = command
        self._seconds = seconds
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, text: str) -> Reply | None:
        """Returns what the worker makes of an answer; None where it took too long, died or wrote nonsense.

        Raises:
            UserError: no worker can be started.
        """
        with self._lock:
            child = self._running()
            try:
                reply = _reply(self._exchange(child, {"text": text}))
            except BaseException:  # Ctrl-C: the worker's reply would be taken for the next one's
                self.stop()
                raise
            if reply is None:
                self.killed += 1
                self.stop()
            return reply

    def stop(self) -> None:
        """Kills the worker, if there is one. The next answer starts another."""
        child, self._child = self._child, None
        if child is None or self._owner != os.getpid():
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None, "made with pipes"
            with contextlib.suppress(BrokenPipeError):  # half a request was left in it
                pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        # A process that was forked from ours must not talk into our worker's pipe.
        if self._child is None or self._owner != os.getpid() or self._child.poll() is not None:
            self.stop()
            root = str(Path(__file__).parents[3])
            path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
            self._owner = os.getpid()
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
            if self._receive(self._child, SECONDS_TO_START) != {"ready": True}:
                self.stop()
                raise UserError(
                    f"the process that reads LaTeX does not start; `python -m {WORKER}` in this environment shows why"
                )
        return self._child

    def _exchange(self, child: subprocess.Popen[bytes], request: dict[str, str]) -> object:
        assert child.stdin is not None, "made with a pipe"
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")  # ASCII: lone surrogates are escaped
            child.stdin.flush()
        except BrokenPipeError:
            return None
        return self._receive(child, self._seconds)

    def _receive(self, child: subprocess.Popen[bytes], seconds: float) -> object:
        """Returns the next line's object, None at the end of the pipe, in case of nonsense, or when time is up."""
        assert child.stdout is not None, "made with a pipe"
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(seconds) or len(line) > _MAX_REPLY:
                    return None
                part = os.read(child.stdout.fileno(), 1 << 16)
                if not part:
                    return None
                line += part
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return None


def _reply(received: object) -> Reply | None:
    match received:
        case {"form": str() | None as form, "also": [*also]} if all(isinstance(other, str) for other in also):
            return Reply(form, tuple(also))
    return None
