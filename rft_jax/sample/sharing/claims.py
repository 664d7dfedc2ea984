"""Sharing work by claiming it: files in one folder say who does what, and who is alive.

Names of work are the caller's. The folder holds:
- NAME.2.claim: the second claim on NAME; its content is the worker that made it. A claim is a file created exclusively,
  which one worker alone can do, also on file systems without locks. The highest number counts: who takes over from a
  dead worker creates the next one.
- WORKER.17.beat: the sign of life of a worker. It renames the file every `BEAT_S`, counting up.
Each worker measures the silence of others on its own monotonic clock, so no clock is compared with another machine's.

Where exclusive creation fails to exclude, or where a worker was silent and comes back, work is done twice.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.sample.sharing import host

log = logging.getLogger(__name__)

BEAT_S = 10.0
DEAD_S = 60.0  # a worker that was silent for this long is dead
_FAILURES = 3  # beats in a row that may fail, as a file server may be away for a moment


class Claims:
    """What one worker has claimed.

    Attributes:
        worker: its name, unlike every other's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        worker: str | None = None,
        needed: Callable[[str], bool] = lambda name: False,
        clock: Callable[[], float] = time.monotonic,
        gone: Callable[[str], bool] = host.gone,
    ) -> None:
        """Gives the first sign of life; the next ones are the caller's (`beat`), or in a `with` block a thread's.

        Args:
            folder: of the claims; its parent exists.
            worker: name; None: the process's identity.
            needed: tells whether the caller's own file on some work, NAME.journal, is of use after `close`.
            clock: in seconds; never goes back.
            gone: tells which workers are known to have ended, without waiting for their silence.

        Raises:
            UserError: the folder cannot be written.
        """
        self.worker = worker or host.identity()
        self._folder, self._needed, self._clock, self._gone = folder, needed, clock, gone
        self._held: dict[str, int] = {}
        self._owners: dict[tuple[str, int], str] = {}
        self._seen: dict[str, tuple[int | None, float]] = {}  # last beat of each worker, and when it was new
        self._beats = self._failures = 0
        self._error: OSError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="beat", daemon=True)
        try:
            self.beat()
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error

    def beat(self) -> None:
        """Gives a sign of life.

        Raises:
            OSError: the folder cannot be written.
        """
        before, after = self._beat_file(self._beats), self._beat_file(self._beats + 1)
        try:
            before.rename(after)
        except FileNotFoundError:  # the first one; or others took this worker for dead, or finished and cleared up
            for attempt in range(_FAILURES):
                self._folder.mkdir(exist_ok=True)
                try:
                    after.touch()
                    break
                except FileNotFoundError:  # they cleared up in between
                    if attempt == _FAILURES - 1:
                        raise
        self._beats += 1

    def __enter__(self) -> "Claims":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.close()

    def check(self) -> None:
        """Raises UserError when this worker could give no sign of life: others take over its work by now."""
        if self._error is not None:
            raise UserError(
                f"cannot write to {self._folder}: {self._error.strerror or self._error}; the same command continues"
            ) from self._error

    def take(self, look: Callable[[], Collection[str]]) -> str | None:
        """Claims the first work that nobody has, or that a dead worker had.

        A worker that holds its fair share of what is left gets no more, so that the last work goes to many.

        Args:
            look: returns the names of what is unfinished now, the first to do first.

        Raises:
            UserError: the folder cannot be written.
        """
        claims, workers = self._look()
        names = list(look())  # after the claims: what had none and is unfinished now was not finished in between
        if len(self._held) >= max(1, math.ceil(len(names) / workers)):
            return None
        for name in names:
            if name in self._held:
                continue
            last = claims.get(name, 0)
            before = self._dead_owner(name, last) if last else None
            if last and before is None:
                continue
            if not self._create(name, last + 1):
                continue
            self._held[name] = last + 1
            # What `_look` saw may be old by now.
            if name not in look() or self._look()[0].get(name) != last + 1:
                self.release(name)
                continue
            if before not in (None, self.worker):
                log.info("takes over %s from %s, which ended", name, before)
            return name
        return None

    def lost(self) -> list[str]:
        """Forgets what others took over, and returns the names."""
        if not self._held:
            return []
        claims, _ = self._look()
        lost = [
            name
            for name, number in self._held.items()
            if claims.get(name) != number or self._content(name, number) != self.worker
        ]
        for name in lost:
            del self._held[name]
        return lost

    def release(self, name: str) -> None:
        """Gives up what this worker holds: it is finished, or somebody else may do it."""
        self._remove(name, self._held.pop(name))

    def close(self) -> None:
        """Gives up everything, and removes what nobody needs."""
        try:
            for name in list(self._held):
                self.release(name)
            self._beat_file(self._beats).unlink(missing_ok=True)
            claims, _ = self._look()
            for name, number in list(claims.items()):
                if self._dead_owner(name, number):
                    self._remove(name, number)
                    del claims[name]
            if not claims:
                for file in self._folder.iterdir():
                    if file.suffix != ".journal" or not self._needed(file.stem):
                        file.unlink(missing_ok=True)  # a worker that is alive will beat again
                self._folder.rmdir()
        except (OSError, UserError):
            pass  # somebody else needs the folder, or it is gone

    def _beat_on(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                self.beat()
                self._failures = 0
            except OSError as error:
                self._failures += 1
                if self._failures == _FAILURES:
                    self._error = error
                    return

    def _look(self) -> tuple[dict[str, int], int]:
        """Returns the last claim on each name, and how many workers are alive, this one included."""
        claims: dict[str, int] = {}
        alive = {self.worker}
        now = self._clock()
        try:
            found = files.names(self._folder)
        except FileNotFoundError:
            found = []
        except OSError as error:
            raise UserError(f"cannot read {self._folder}: {error.strerror or error}") from error
        for file in found:
            stem, _, kind = file.rpartition(".")
            name, _, digits = stem.rpartition(".")
            if kind not in ("claim", "beat") or not digits.isdigit():
                continue
            number = int(digits)
            if kind == "claim":
                claims[name] = max(number, claims.get(name, 0))
            elif name != self.worker:
                if self._seen.get(name, (None, 0))[0] != number:
                    self._seen[name] = (number, now)
                if self._dead(name):
                    with contextlib.suppress(OSError):  # another user's
                        (self._folder / file).unlink()  # its last beat stays in `_seen`
                else:
                    alive.add(name)
        return claims, len(alive)

    def _dead(self, worker: str) -> bool:
        if worker == self.worker:
            return False
        now = self._clock()
        _, since = self._seen.setdefault(worker, (None, now))
        return now - since > DEAD_S or self._gone(worker)

    def _dead_owner(self, name: str, number: int) -> str | None:
        """Returns who made a claim that this worker does not hold and that nobody works on, None if somebody does."""
        owner = self._owner(name, number)
        if self._dead(owner):
            # It may have given the work up before its end, and another worker made a claim of this number.
            self._owners.pop((name, number), None)
            owner = self._owner(name, number)
        # Its own claim is one that `lost` could not read: others wait for this worker, who is alive.
        return owner if owner == self.worker or self._dead(owner) else None

    def _owner(self, name: str, number: int) -> str:
        """Returns who made a claim; where it does not say (killed in between), the claim itself stands for a worker."""
        owner = self._owners.get((name, number)) or self._content(name, number)
        if owner:
            self._owners[name, number] = owner
        return owner or self._file(name, number).name

    def _content(self, name: str, number: int) -> str:
        try:
            return self._file(name, number).read_text(encoding="utf-8", errors="replace")
        except OSError:  # released meanwhile
            return ""

    def _remove(self, name: str, number: int) -> None:
        for each in range(number, 0, -1):
            with contextlib.suppress(OSError):  # one that stays is a dead worker's after this one's end
                self._file(name, each).unlink()

    def _create(self, name: str, number: int) -> bool:
        file = self._file(name, number)
        try:
            self._folder.mkdir(exist_ok=True)  # another worker that finished may have removed it
            with contextlib.suppress(FileNotFoundError), file.open("x", encoding="utf-8") as stream:
                stream.write(self.worker)
                return True
        except FileExistsError:
            pass
        except OSError as error:
            raise UserError(f"cannot write {file}: {error.strerror or error}") from error
        return False

    def _file(self, name: str, number: int) -> Path:
        return self._folder / f"{name}.{number}.claim"

    def _beat_file(self, number: int) -> Path:
        return self._folder / f"{self.worker}.{number}.beat"
