"""The path files to select from."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rft_jax import names
from rft_jax.errors import UserError
from rft_jax.files import PARTIAL
from rft_jax.records import checksum, manifest
from rft_jax.remote import given, store
from rft_jax.remote.address import folder_and_base, is_remote
from rft_jax.remote.cache import Copy


@dataclasses.dataclass(frozen=True, slots=True)
class _Match:
    """A file that a pattern matches: where it is read, its state, and its name without links."""

    file: str
    size: int
    changed: str
    real: str
    link: bool = False
    copy: tuple[Copy, str] | None = None


@dataclasses.dataclass(slots=True)
class Inputs:
    """The path files, in order.

    Attributes:
        files: all of them, each once; of objects, gs:// or s3://, the copies, which are there after `fetch`.
        listed: for each file, the place in the list of patterns where it came up first.
        real: for each file, its name without links.
        links: the files that are links.
        copies: file -> the folder of objects that it is from, and its place there.
        fingerprint: of the names, sizes and times of change of the files, in order.
    """

    files: list[str]
    listed: list[int]
    real: list[str]
    links: set[str]
    copies: dict[str, tuple[Copy, str]]
    fingerprint: str = ""

    def add(self, match: _Match, place: int) -> None:
        """Appends a file of the pattern at this place in the list."""
        self.files.append(match.file)
        self.listed.append(place)
        self.real.append(match.real)
        if match.link:
            self.links.add(match.file)
        if match.copy is not None:
            self.copies[match.file] = match.copy

    def fetch(self, files: Iterable[str]) -> None:
        """Makes sure that these of the files are on this machine.

        Raises:
            UserError: one cannot be read.
        """
        wanted: dict[int, tuple[Copy, list[str]]] = {}
        for copy, base in (self.copies[file] for file in files if file in self.copies):
            wanted.setdefault(id(copy), (copy, []))[1].append(base)
        for copy, bases in wanted.values():
            copy.fetch(bases)

    def refuse_to_write(self, outputs: Iterable[str], *others: str) -> None:
        """Raises UserError where one of the outputs is one of these files, or of others that are read."""
        written = {_real(name): name for name in outputs}
        for real in (*self.real, *map(_real, others)):
            if (name := written.get(real)) is not None:
                raise UserError(f"{name} is to be read and written; give --output another name, or --paths fewer files")


def find_inputs(patterns: Sequence[str]) -> Inputs:
    """Returns the files that the patterns match; those of one pattern in natural order (`2.jsonl` before `10.jsonl`).

    There may be millions, on a file system far away: each is asked for its state once.

    Raises:
        UserError: a pattern matches no file.
    """
    inputs = Inputs([], [], [], set(), {})
    known: set[str] = set()
    digest = hashlib.sha256()
    real_folder = functools.cache(os.path.realpath)
    for place, pattern in enumerate(patterns):
        found = _objects(pattern) if is_remote(pattern) else _files(pattern, real_folder)
        if not found:
            hint = "; it is a folder, so add /*.jsonl" if _is_folder(pattern) else ""
            parted = f"; {names.QUOTING}" if len(patterns) > 1 and not names.matches(pattern) else ""
            raise UserError(f"no file matches --paths={pattern}{hint}{parted}")
        for name in sorted(found, key=_natural):
            match = found[name]
            if match.real not in known:  # the same file by another name would be read for nothing
                known.add(match.real)
                inputs.add(match, place)
                digest.update(f"{name}\0{match.size} {match.changed}\0".encode(errors="surrogateescape"))
    inputs.fingerprint = digest.hexdigest()[:16]
    return inputs


def _files(pattern: str, real_folder: Callable[[str], str]) -> dict[str, _Match]:
    matches = {}
    for name in names.matches(pattern):
        # What a killed writer left behind is not a file of paths.
        state = None if name.endswith(PARTIAL) else _state(name)
        if state is not None:
            folder, base = os.path.split(name)
            real = os.path.realpath(name) if state.link else f"{real_folder(folder or '.')}/{base}"
            matches[name] = _Match(name, state.size, str(state.changed), real, state.link)
    return matches


def _objects(pattern: str) -> dict[str, _Match]:
    """Returns the objects that a pattern matches; what lies beside them, to check them, is on this machine then."""
    exact = store.find(pattern)
    folders: dict[str, dict[str, store.Object]] = {}
    for found in [exact] if exact else store.matches(pattern):
        folder, base = folder_and_base(found.name)
        if not base.endswith(PARTIAL):
            folders.setdefault(folder, {})[base] = found
    matches = {}
    for folder, objects in folders.items():
        wanted = {manifest.NAME, *(base + checksum.SUFFIX for base in objects)} - objects.keys()
        beside = {folder_and_base(found.name)[1]: found for found in store.inside(folder)}
        checks = {base: found for base, found in beside.items() if base in wanted}
        copy = Copy.of(folder, [*objects.values(), *checks.values()])
        path = copy.path
        given.learn(path, folder)
        copy.fetch(checks)
        for base, found in objects.items():
            matches[found.name] = _Match(str(path / base), found.size, found.version, found.name, copy=(copy, base))
    return matches


def _is_folder(pattern: str) -> bool:
    return bool(store.matches(f"{pattern}/*")) if is_remote(pattern) else pathlib.Path(pattern).is_dir()


def _real(name: str) -> str:
    name = given.name_of(name)
    return name if is_remote(name) else os.path.realpath(name)


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
