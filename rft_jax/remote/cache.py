"""Copies of objects on this machine, made once: all that reads files reads these.

`objects/` has one file for each version of an object, under a hash; it appears whole, and processes that want the same
one wait for the first. `folders/` has the folders that readers see: hard links to these, under their own names. Which
of its files are there is known to the one who asked for them only, so a folder is asked for, never found.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.remote import background, given, store
from rft_jax.remote.address import folder_and_base, is_remote, split
from rft_jax.remote.store import Object

VARIABLE = "RFT_JAX_CACHE"
_THREADS = 8


def root() -> Path:
    """Returns the folder of all copies."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rft_jax"


@dataclasses.dataclass(frozen=True, slots=True)
class Copy:
    """A folder of objects as it is, or will be, on this machine.

    Attributes:
        name: of the folder.
        objects: those of interest, by their places in the folder.
    """

    name: str
    objects: dict[str, Object]

    @classmethod
    def of(cls, name: str, objects: Iterable[Object]) -> "Copy":
        """Returns the folder of a name with these objects, which are in it.

        Raises:
            UserError: an object has a name that no file can have.
        """
        name = "://".join(split(name))
        placed = {each.name.removeprefix(f"{name}/"): each for each in objects}
        for place, each in placed.items():
            if {"", ".", ".."} & set(place.split("/")):
                raise UserError(f"{each.name!r} cannot be the name of a file; rename the object")
        return cls(name, placed)

    @property
    def path(self) -> Path:
        """Where it is; of the same last name."""
        digest = hashlib.sha256(self.name.encode())
        for place, each in sorted(self.objects.items()):
            digest.update(f"\0{place}\0{each.size}\0{each.version}".encode())
        return root() / "folders" / digest.hexdigest()[:16] / self.name.rpartition("/")[2]

    def fetch(self, places: Iterable[str]) -> None:
        """Makes sure that the objects at these places are there.

        Raises:
            UserError: one cannot be read, or has changed, or there is no room.
        """
        path = self.path
        wanted = [(path / place, self.objects[place]) for place in places]
        missing = [(file, each) for file, each in wanted if not file.exists()]
        if missing:
            _fetch(self.name, missing)


@functools.cache
def file(name: str) -> Path:
    """Returns the copy of an object; asked again, this process gets the same one.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    found = store.find(name)
    if found is None:
        raise UserError(f"no such file: {name}")
    folder, base = folder_and_base(name)
    copy = Copy.of(folder, [found])
    given.learn(copy.path / base, name)
    copy.fetch([base])
    return copy.path / base


def readable(name: str | os.PathLike[str]) -> Path:
    """Returns the path of a file, or of the copy of an object."""
    return file(name) if isinstance(name, str) and is_remote(name) else Path(name)


@functools.cache
def folder(name: str, wanted: Callable[[str], bool]) -> Path:
    """Returns the copy of a folder; asked again, this process gets the same one.

    Args:
        name: of the folder.
        wanted: tells by the place of an object in the folder whether it is needed.

    Raises:
        UserError: there is nothing in it, or it cannot be read.
    """
    name = name.rstrip("/")
    copy = Copy.of(name, [each for each in store.below(name) if wanted(each.name.removeprefix(f"{name}/"))])
    if not copy.objects:
        raise UserError(f"no such folder: {name}; nothing that is needed is there")
    given.learn(copy.path, name)
    copy.fetch(copy.objects)
    return copy.path


def _fetch(name: str, missing: list[tuple[Path, Object]]) -> None:
    objects = root() / "objects"
    with one_line():
        objects.mkdir(parents=True, exist_ok=True)
        for parent in {file.parent for file, _ in missing}:
            parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(objects).free
        need = sum(each.size for _, each in missing if not (objects / _key(each)).exists())
    if need > free:
        raise UserError(
            f"{name}: a copy needs {need / 1e9:.1f} GB, and {root()} has {free / 1e9:.1f} GB free: set {VARIABLE} to a "
            "folder with room"
        )
    with tqdm(desc="fetch", total=need, unit="B", unit_scale=True, disable=None) as bar:
        background.each(lambda wanted: _fetch_one(objects, *wanted, bar.update), missing, _THREADS)


def _key(source: Object) -> str:
    return hashlib.sha256(f"{source.name}\0{source.size}\0{source.version}".encode()).hexdigest()[:32]


def _fetch_one(objects: Path, target: Path, source: Object, progress: Callable[[int], object]) -> None:
    kept = objects / _key(source)
    with one_line():
        with _alone(objects / f"{kept.name}.lock") as alone:
            if not kept.exists():
                for leftover in objects.glob(f".{kept.name}.*{files.PARTIAL}") if alone else ():
                    leftover.unlink(missing_ok=True)  # of a process that was killed
                with files.whole_file(kept) as begun:
                    store.download(source, begun, progress)
        try:
            os.link(kept, target)
        except FileExistsError:  # another process was faster
            pass
        except OSError:  # a file system without hard links
            with files.whole_file(target) as begun:
                shutil.copyfile(kept, begun)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Waits until no other process is in here; yields False where a file system has no locks, so that some may be."""
    with lock.open("wb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX)
            alone = True
        except OSError:
            alone = False
        yield alone


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Tells an error of the cache's disk in one line, as UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot keep copies in {root()}: {error.strerror or error}; set {VARIABLE} to a folder of yours"
        ) from error
