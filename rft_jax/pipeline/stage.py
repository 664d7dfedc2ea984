"""A stage as the pipeline sees it: a command, what it reads, and what is there when it is done."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rft_jax import names
from rft_jax.files import whole_file

RECORD = "stage.json"
LOG = "log.txt"
# A name, or patterns.
Reads = str | tuple[str, ...]

_WHOLE_BYTES, _PROBES, _PROBE_BYTES = 64 << 20, 64, 1 << 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One command of the plan.

    Attributes:
        name: of the stage, and of its folder in the workdir.
        kind: world, train, sample, select, evaluate or report.
        script: launch/*.py.
        flags: of the command, without those that say where things are.
        reads: flag -> what it reads: the name of a file, a folder or a data set, or a tuple of patterns, which the flag
            takes as a list. What does not begin with -- is read and is no flag. The contents count, not the place.
        after: the stages whose output that is.
        places: flag -> where its output goes, or another place that does not count.
        output: what must be there for it to be done, seen from the stage's folder.
        late: makes more flags when the stages before are done.
        growing: a flag whose number may grow without doing the stage anew.
    """

    name: str
    kind: str
    script: str
    flags: tuple[str, ...]
    reads: Mapping[str, Reads]
    after: tuple[str, ...]
    places: dict[str, str]
    output: tuple[str, ...]
    late: Callable[[], tuple[str, ...]] = tuple
    growing: str | None = None

    def arguments(self) -> list[str]:
        """Returns the command's arguments; only the stages before must be done."""
        places: dict[str, Reads] = {**self.reads, **self.places}
        paths = [
            f"{flag}={place if isinstance(place, str) else names.join_list(place)}"
            for flag, place in places.items()
            if flag.startswith("--")
        ]
        return [*self.flags, *self.late(), *paths]


@dataclasses.dataclass(frozen=True)
class Record:
    """What a stage was begun or done with; stage.json in its folder.

    Attributes:
        done: whether it came to its end.
        flags: the flags, as `Stage.flags` and `Stage.late`.
        inputs: flag -> fingerprint of what it read.
        seconds: it took, over all its starts.
    """

    done: bool
    flags: tuple[str, ...]
    inputs: dict[str, str]
    seconds: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> "Record | None":
        """Returns the record of a stage's folder, None if there is none that can be read."""
        try:
            fields = json.loads((folder / RECORD).read_text())
            return cls(fields["done"], tuple(fields["flags"]), dict(fields["inputs"]), float(fields["seconds"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, folder: Path, more: dict[str, Any]) -> None:
        """Writes it, whole or not at all, with more that people may want to know."""
        with whole_file(folder / RECORD) as file:
            file.write_text(json.dumps(dataclasses.asdict(self) | more, indent=1) + "\n")


def changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Returns what differs between two lists of flags, in words."""
    old, new = (dict(flag.partition("=")[::2] for flag in flags) for flags in (before, now))
    return [
        f"{name.removeprefix('--')} {old.get(name, 'unset')} → {new.get(name, 'unset')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def fingerprint(reads: Reads) -> str:
    """Returns a hash of what a flag reads: of file contents, large ones by samples; of a data set's name.

    What is not there yet has the fingerprint "absent".
    """
    digest = hashlib.sha256()
    for part in (reads,) if isinstance(reads, str) else reads:
        files = _files_of(part, pattern=not isinstance(reads, str))
        if not files and not part.startswith("hf:"):
            return "absent"
        digest.update(b"" if files else part.encode())
        for name, file in files:
            digest.update(f"{name} {file.stat().st_size}\n".encode())
            _add(digest, file)
    return digest.hexdigest()[:16]


def _files_of(part: str, *, pattern: bool) -> list[tuple[str, Path]]:
    path = Path(part)
    if path.is_dir():
        return [(str(file.relative_to(path)), file) for file in sorted(path.rglob("*")) if file.is_file()]
    if pattern:
        return [(file.name, file) for file in sorted(map(Path, names.matches(part))) if file.is_file()]
    return [(path.name, path)] if path.is_file() else []


def _add(digest: Any, file: Path) -> None:
    size = file.stat().st_size
    with file.open("rb") as data:
        if size <= _WHOLE_BYTES:
            digest.update(data.read())
            return
        for probe in range(_PROBES):
            data.seek((size - _PROBE_BYTES) * probe // (_PROBES - 1))
            digest.update(data.read(_PROBE_BYTES))
