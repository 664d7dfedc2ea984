"""How the processes of a run notice that one of them is lost, and end together.

Each writes a sign of life into the store of JAX's coordinator every few seconds, and looks at the others'. It does not
compare clocks: a process is lost when what it wrote has not changed for a while, as this one counts.
"""

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from rft_jax import stopping
from rft_jax.distributed.guardian import AGAIN

BEAT_S = 3.0
LOST_S = 40.0  # without a sign of life
# Folders of the store, with a key for each process: its sign of life, that it was asked to stop, that it has done its
# work, why it ends, and that it has nothing more to say.
_BEATS, _WISHES, _DONE, _ENDS, _LEFT = (f"rft_jax/{name}/" for name in ("beats", "wishes", "done", "ends", "left"))
_OF_OTHERS = re.compile(
    "gloo|nccl|connection (closed|reset)|socket closed|UNAVAILABLE|DEADLINE_EXCEEDED|coordination|broken pipe|"
    "heartbeat|task.*(died|unhealthy)",
    re.IGNORECASE,
)
_current: "Lifeline | None" = None


class Lifeline:
    """Of this process; two threads."""

    def __init__(self, store: Any, *, count: int, number: int) -> None:
        """Begins to give signs of life, and to look at the others'.

        Args:
            store: JAX's client of the coordinator.
            count: of the processes.
            number: of this one.
        """
        global _current
        _current = self
        self.store, self.count, self.number, self.host = store, count, number, socket.gethostname()
        self._over = self._ending = False
        self._lost: set[int] = set()
        self._answered = time.monotonic()
        for act in (self._follow, self._follow_coordinator):
            threading.Thread(target=act, name="lifeline", daemon=True).start()

    def tell_end(self, error: str, code: int) -> None:
        """Tells the others why this process ends, and with which exit code; they end too, with the same."""
        self._over = True  # what the others say from now on is no news
        self._tell(_ENDS, f"{code} process {self.number} ({self.host}) ended: {error}")

    def finish(self) -> None:
        """Waits until all processes have done their work, as long as none is lost, and leaves."""
        self._tell(_DONE, "")
        self._seen(_DONE, lambda done: len(done) == self.count, float("inf"))
        self._over = True
        self.leave()

    def _tell(self, folder: str, value: str) -> None:
        with contextlib.suppress(Exception):  # the coordinator may be gone; then the others know
            text = value.encode(errors="replace").decode()  # a file's name need not be UTF-8
            self.store.key_value_set(f"{folder}{self.number}", text, allow_overwrite=True)

    def end_is_told(self, error: str) -> bool:
        """Returns whether the end is told already: by this process, which has heard of another's end, or, within
        seconds, by process 0, which ends for the same reason and says so for all.
        """
        if self._ending:
            return True
        return self.number > 0 and self._seen(_ENDS, lambda ends: _same(ends.get(0, ""), error), BEAT_S)

    def leave(self) -> None:
        """Leaves the others, who have said all that they say: JAX aborts whoever outlives the coordinator."""
        self._tell(_LEFT, "")
        if self.number == 0:
            self._seen(_LEFT, lambda left: len(left.keys() | self._lost) == self.count, 4 * BEAT_S)

    def _seen(self, folder: str, what: Callable[[dict[int, str]], bool], seconds: float) -> bool:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            with contextlib.suppress(Exception):
                if what(dict(self._all(folder))):
                    return True
            time.sleep(0.1)
        return False

    def _all(self, folder: str) -> list[tuple[int, str]]:
        return [(int(key.rpartition("/")[2]), value) for key, value in self.store.key_value_dir_get(folder)]

    def _follow(self) -> None:
        seen: dict[int, tuple[str, float]] = {}
        hosts: dict[int, str] = {}
        for beat in range(1 << 62):
            try:
                self.store.key_value_set(f"{_BEATS}{self.number}", f"{beat} {self.host}", allow_overwrite=True)
                beats, ends, wishes = (self._all(folder) for folder in (_BEATS, _ENDS, _WISHES))
            except Exception:  # the coordinator does not answer; JAX ends this process if it is gone
                time.sleep(BEAT_S)
                continue
            self._answered = now = time.monotonic()
            for number, value in beats:
                hosts[number] = value.partition(" ")[2]
                if seen.get(number, ("", 0.0))[0] != value:
                    seen[number] = value, now
            for number, end in ends:
                if number != self.number and not self._over:
                    code, _, message = end.partition(" ")
                    self._end(message, int(code))
            if stopping.asked():
                self._tell(_WISHES, "")
            elif self.number == 0 and wishes:
                stopping.ask()
            for number, (_, when) in seen.items():
                if now - when > LOST_S and number != self.number and not self._over:
                    self._lost.add(number)
                    self._end(
                        f"process {number} ({hosts[number]}) was lost: no sign of life for {now - when:.0f} s; {AGAIN}"
                    )
            time.sleep(BEAT_S)

    def _follow_coordinator(self) -> None:
        """Ends the process when the store does not answer; a call to a process that hangs does not come back."""
        while (silent := time.monotonic() - self._answered) < LOST_S:
            time.sleep(BEAT_S)
        self._end(f"process 0, the coordinator, was lost: no answer for {silent:.0f} s; {AGAIN}")

    def _end(self, message: str, code: int = 1) -> NoReturn:
        self._ending = True
        stopping.say(f"error: {message}")

        def tell() -> None:
            self._tell(_ENDS, f"{code} {message}")
            self.leave()

        telling = threading.Thread(target=tell, daemon=True)  # as the coordinator may never answer
        telling.start()
        telling.join(5 * BEAT_S)
        os._exit(code)

    def explain(self, error: BaseException) -> None:
        """Waits, if an error may be due to a lost process, until it is known which; then this process ends."""
        if _OF_OTHERS.search(f"{type(error).__name__}: {error}"):
            limit = time.monotonic() + LOST_S + 3 * BEAT_S
            while time.monotonic() < limit or self._ending:
                time.sleep(0.1)


def _same(end: str, error: str) -> bool:
    return re.fullmatch(rf"\d+ process 0 \(.*?\) ended: {re.escape(error)}", end) is not None


def current() -> Lifeline | None:
    """Returns this process's, if it is one of several."""
    return _current
