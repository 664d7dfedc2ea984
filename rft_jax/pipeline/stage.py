"""A stage as the pipeline sees it: a command, its inputs, and the outputs that show it is done."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rft_jax import names
from rft_jax.files import whole_file
from rft_jax.hf.fingerprint import Fingerprint, same
from rft_jax.remote import store
from rft_jax.remote.address import is_remote

RECORD = "stage.json"
LOG = "log.txt"
# One name, or several patterns.
Reads = str | tuple[str, ...]

_WHOLE_BYTES, _PROBES, _PROBE_BYTES = 64 << 20, 64, 1 << 16  # of what was recorded until 2026-11-26


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One command of the plan.

    Attributes:
        name: name of the stage and of its folder in the workdir.
        kind: world, draw, contamination, train, sample, select, evaluate, loss, round or report.
        script: launch/*.py.
        flags: the command's flags, except those that say where things are.
        reads: maps a flag to its input: the name of a file, a folder or a dataset, or a tuple of patterns, given to
            the command as a list. A key without -- is an input without a flag. Contents count, not locations.
        after: the stages that make these inputs.
        locations: maps a flag to where output goes, or to another path that makes no difference to the result.
        output: files that must exist for the stage to be done, relative to its folder.
        late: makes more flags once the stages before are done.
        growing: a flag whose number may grow without making the stage stale.
        unless: checks of rounds: when one says stop, the stage is skipped.
    """

    name: str
    kind: str
    script: str
    flags: tuple[str, ...]
    reads: Mapping[str, Reads]
    after: tuple[str, ...]
    locations: dict[str, str]
    output: tuple[str, ...]
    late: Callable[[], tuple[str, ...]] = tuple
    growing: str | None = None
    unless: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Returns the command's arguments. The stages before must be done."""
        locations: dict[str, Reads] = {**self.reads, **self.locations}
        paths = [
            f"{flag}={where if isinstance(where, str) else names.join_list(where)}"
            for flag, where in locations.items()
            if flag.startswith("--")
        ]
        return [*self.flags, *self.late(), *paths]


@dataclasses.dataclass(frozen=True)
class Record:
    """What a stage was run with: stage.json in its folder.

    Attributes:
        done: whether it finished.
        flags: its flags, as `Stage.flags` and `Stage.late`.
        inputs: maps a flag to the fingerprint of its input.
        seconds: run time, over all starts, those included that were killed. Time in which several workers ran counts
            once.
        counted: until when it is counted, in seconds since 1970.
        outputs: fingerprints of the files that it made, by their names in its folder; None in records of before.
    """

    done: bool
    flags: tuple[str, ...]
    inputs: dict[str, str]
    seconds: float = 0.0
    counted: float = 0.0
    outputs: dict[str, str] | None = None

    @classmethod
    def read(cls, folder: Path) -> "Record | None":
        """Returns the record in a stage's folder, or None if there is no readable one."""
        try:
            fields = json.loads((folder / RECORD).read_text())
            outputs = fields.get("outputs")
            return cls(
                fields["done"],
                tuple(fields["flags"]),
                dict(fields["inputs"]),
                float(fields["seconds"]),
                float(fields.get("counted", 0)),
                None if outputs is None else dict(outputs),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def fault(self, folder: Path) -> str | None:
        """Returns the name of a file that the stage had made and that is missing or changed now, or None."""
        outputs = (self.outputs or {}).items()
        return next((name for name, told in outputs if not same(told, fingerprint(str(folder / name)))), None)

    def write(self, folder: Path, more: dict[str, Any]) -> None:
        """Writes it, whole or not at all, with `more` fields for people to read."""
        with whole_file(folder / RECORD) as file:
            file.write_text(json.dumps(dataclasses.asdict(self) | more, indent=1) + "\n")


def outputs_of(stage: Stage, folder: Path) -> dict[str, str]:
    """Returns the fingerprints of the files that a stage has made, by their names in its folder."""
    made: dict[str, str] = {}
    for name in stage.output:
        whole = folder / name
        files = sorted(file for file in whole.rglob("*") if file.is_file()) if whole.is_dir() else [whole]
        made |= {os.path.relpath(file, folder): fingerprint(str(file)) for file in files}
    return made


def changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Returns what differs between two lists of flags, in words."""
    old, new = (dict(flag.partition("=")[::2] for flag in flags) for flags in (before, now))
    return [
        f"{name.removeprefix('--')} {old.get(name, 'unset')} → {new.get(name, 'unset')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def fingerprint(reads: Reads) -> str:
    """Returns a hash of an input: of its files' contents (parts of large weights), or of a dataset's name.

    The fingerprint of an input that does not exist yet is "absent". `same` compares with one of before.
    """
    found = Fingerprint(_WHOLE_BYTES, _pieces)
    for part in (reads,) if isinstance(reads, str) else reads:
        if is_remote(part):
            if not (objects := _objects_of(part)):
                return "absent"
            found.update("".join(objects).encode())
            continue
        files = _files_of(part, pattern=not isinstance(reads, str))
        if not files and not part.startswith("hf:"):
            return "absent"
        found.update(b"" if files else part.encode(errors="surrogateescape"))
        for name, file in files:
            found.add(file, f"{name} {file.stat().st_size}\n")
    return str(found)


def _files_of(part: str, *, pattern: bool) -> list[tuple[str, Path]]:
    path = Path(part)
    if path.is_dir():
        return [(str(file.relative_to(path)), file) for file in sorted(path.rglob("*")) if file.is_file()]
    if pattern:
        return [(file.name, file) for file in sorted(map(Path, names.matches(part))) if file.is_file()]
    return [(path.name, path)] if path.is_file() else []


def _objects_of(part: str) -> list[str]:
    """Returns name, size and version of each object that is meant: one, or those in a folder."""
    exact = store.find(part)
    return [
        f"{each.name.removeprefix(part.rstrip('/'))} {each.size} {each.version}\n"
        for each in ([exact] if exact else store.below(part))
    ]


def _pieces(size: int) -> list[tuple[int, int]]:
    return [((size - _PROBE_BYTES) * probe // (_PROBES - 1), _PROBE_BYTES) for probe in range(_PROBES)]
