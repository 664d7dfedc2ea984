"""The checks of what is read and written: all hosts see the same, and there is room."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rft_jax.doctor.check import Check, Finding, Level, ProcessError
from rft_jax.pipeline.estimate import storage
from rft_jax.pipeline.stage import Reads, fingerprint

_SEEN_S = 6.0  # in which a new file is to be seen on all hosts
_TIGHT = 1.5  # times what will be written: below this others may fill the rest
_ABSENT = "absent"  # what `fingerprint` returns for what is not there


class Workdir:
    """Where the run will write: what the checks of it share.

    The doctor leaves nothing behind: where the folder does not exist yet, the nearest one above it is tried.
    """

    def __init__(self, folder: Path, number: int) -> None:
        """Touches nothing.

        Args:
            folder: the workdir.
            number: of this process.
        """
        self.folder, self._number = folder.absolute(), number
        self._mark: Path | None = None
        self._told: Sequence[Any] = ()
        self.clock: dict[str, float] = {}

    def writes(self) -> Check:
        """Every process can write there."""

        def judge(found: Sequence[Any]) -> Finding:
            self._told = found
            whoever = "every process" if len(found) > 1 else "this process"
            return Finding(Level.OK, f"{whoever} can write to {found[0]['folder']}")

        return Check(
            "workdir", self._write, judge, "give a --workdir in which all hosts can make files, with room left"
        )

    def shared(self) -> Check:
        """What process 0 writes is seen by all, and the other way round."""

        def judge(found: Sequence[Any]) -> Finding:
            for number, unseen in enumerate(found):
                if unseen:
                    if number == 0:
                        raise ProcessError(unseen[0], f"process 0 does not see what it writes to {self.folder}")
                    raise ProcessError(number, f"does not see what process 0 writes to {self.folder}")
            one = "nobody to share it with" if len(found) == 1 else f"all {len(found)} processes see each other's files"
            return Finding(Level.OK, one)

        return Check("shared", self._look, judge, "give a --workdir on a file system that all hosts share", _SEEN_S + 4)

    def room(self, needed: Callable[[], tuple[float, str]]) -> Check:
        """The disk has room for what will be written.

        Args:
            needed: returns how many bytes that is, and of what.
        """

        def find() -> dict[str, Any]:
            usage = shutil.disk_usage(self._nearest()[0])
            need, what = needed()
            return {"free": usage.free, "total": usage.total, "need": need, "what": what}

        def judge(found: Sequence[Any]) -> Finding:
            number = min(range(len(found)), key=lambda number: found[number]["free"])
            least, need, what = found[number], found[0]["need"], found[0]["what"]
            said = f"{storage(least['free'])} free of {storage(least['total'])}"
            if not what:
                return Finding(Level.OK, f"{said}; give --config to compare with what will be written")
            said += f", about {storage(need)} will be written ({what})"
            if least["free"] < need:
                raise ProcessError(number, said)
            if least["free"] < _TIGHT * need:
                return Finding(Level.WARNING, f"{said}: tight, if others write there too", "make room")
            return Finding(Level.OK, said)

        advice = "make room, give a --workdir on a larger disk, or write less (--config.keep, --config.k)"
        return Check("free disk", find, judge, advice)

    def clean(self) -> None:
        """Removes what this process wrote."""
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)

    def _nearest(self) -> tuple[Path, int]:
        """Returns the workdir, or the nearest folder above that exists, and how many steps up that is."""
        places = (self.folder, *self.folder.parents)
        return next((place, steps) for steps, place in enumerate(places) if place.is_dir())

    def _write(self) -> dict[str, Any]:
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(20, "is a file, not a folder", str(self.folder))
        place, steps = self._nearest()
        self._mark = mark = place / f".doctor.{secrets.token_hex(4)}.{self._number}"
        before = time.time()
        with mark.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        after, told = time.time(), mark.stat().st_mtime
        # A file system may round its times to a second, and always has them between our two looks.
        self.clock["seconds"] = told - after if told > after else min(0.0, told - before)
        return {"folder": str(place), "steps": steps, "name": mark.name}

    def _look(self) -> list[int]:
        """Returns the numbers of the processes whose files are not seen here."""
        told = self._told
        wanted = {other: told[other] for other in (range(len(told)) if self._number == 0 else [0])}
        limit = time.monotonic() + _SEEN_S
        while wanted:
            for other, mark in list(wanted.items()):
                if ((self.folder, *self.folder.parents)[mark["steps"]] / mark["name"]).exists():
                    del wanted[other]
            if not wanted or time.monotonic() > limit:
                break
            time.sleep(0.2)
        return sorted(wanted)


def inputs(read: Mapping[str, Reads]) -> Check:
    """Every process sees the same of what is read.

    Args:
        read: what is read, by its name for people: a file, a folder, a data set, or patterns of files.
    """

    def find() -> dict[str, str]:
        return {name: fingerprint(where) for name, where in read.items()}

    def judge(found: Sequence[Any]) -> Finding:
        for number, other in enumerate(found):
            for name, print_ in other.items():
                where = read[name] if isinstance(read[name], str) else ", ".join(read[name])
                if print_ == _ABSENT:
                    raise ProcessError(number, f"{name} {where} is not there")
                if print_ != found[0][name]:
                    raise ProcessError(number, f"{name} {where} has other contents than on process 0")
        same = f", the same for all {len(found)} processes" if len(found) > 1 else ""
        return Finding(Level.OK, f"{', '.join(read)}: there{same}")

    return Check("inputs", find, judge, "copy them to where all hosts see the same files", 15.0)
