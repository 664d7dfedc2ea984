"""The path files to select from."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import stat
from collections.abc import Iterable, Sequence
from typing import Any

from rft_jax import names
from rft_jax.errors import UserError
from rft_jax.files import PARTIAL


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """The path files, in order.

    Attributes:
        files: all of them, each once.
        listed: for each file, the place in the list of patterns where it came up first.
        real: for each file, its name without links.
        links: the files that are links.
        fingerprint: of the names, sizes and times of change of the files, in order.
    """

    files: list[str]
    listed: list[int]
    real: list[str]
    links: frozenset[str]
    fingerprint: str

    def refuse_to_write(self, outputs: Iterable[str], *others: str) -> None:
        """Raises UserError where one of the outputs is one of these files, or of others that are read."""
        written = {os.path.realpath(name): name for name in outputs}
        for real in (*self.real, *map(os.path.realpath, others)):
            if (name := written.get(real)) is not None:
                raise UserError(f"{name} is to be read and written; give --output another name, or --paths fewer files")


def find_inputs(patterns: Sequence[str]) -> Inputs:
    """Returns the files that the patterns match; those of one pattern in natural order (`2.jsonl` before `10.jsonl`).

    There may be millions, on a file system far away: each is asked for its state once.

    Raises:
        UserError: a pattern matches no file.
    """
    listed: dict[str, tuple[int, str]] = {}
    links: set[str] = set()
    known: set[str] = set()
    digest = hashlib.sha256()
    real_folder = functools.cache(os.path.realpath)
    for place, pattern in enumerate(patterns):
        found = names.matches(pattern)
        # What a killed writer left behind is not a file of paths.
        states = {match: state for match in found if not match.endswith(PARTIAL) and (state := _state(match))}
        if not states:
            hint = "; it is a folder, so add /*.jsonl" if pathlib.Path(pattern).is_dir() else ""
            parted = f"; {names.QUOTING}" if len(patterns) > 1 and not found else ""
            raise UserError(f"no file matches --paths={pattern}{hint}{parted}")
        for file in sorted(states, key=_natural):
            folder, name = os.path.split(file)
            real = os.path.realpath(file) if states[file].link else f"{real_folder(folder or '.')}/{name}"
            if real not in known:  # the same file by another name would be read for nothing
                known.add(real)
                links.update([file] if states[file].link else [])
                listed[file] = (place, real)
                digest.update(f"{file}\0{states[file].size} {states[file].changed}\0".encode(errors="surrogateescape"))
    places, reals = zip(*listed.values(), strict=True)
    return Inputs(list(listed), list(places), list(reals), frozenset(links), digest.hexdigest()[:16])


@dataclasses.dataclass(frozen=True, slots=True)
class _State:
    size: int
    changed: int
    link: bool


def _state(file: str) -> _State | None:
    """Returns the state of what is no folder."""
    try:
        state = os.lstat(file or ".")
        if link := stat.S_ISLNK(state.st_mode):
            state = pathlib.Path(file).stat()
    except OSError as error:  # a link that leads nowhere, for one
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    return None if stat.S_ISDIR(state.st_mode) else _State(state.st_size, state.st_mtime_ns, link)


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]
