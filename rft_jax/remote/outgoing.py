"""Files that go to a bucket: made as a whole on this machine, then uploaded, the one that says so last."""

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.one_writer import abandoned, one_writer
from rft_jax.remote import cache, given, store
from rft_jax.remote.address import folder_and_base, is_remote

_LOCK = ".writer"  # beside a folder in the cache while it is made, and when its maker was killed; not when it is kept
_WAIT_S = 10.0  # another process may be looking whether a lock that was just made is held


@contextlib.contextmanager
def outgoing(name: str, last: Callable[[str], bool], *, new: bool = False) -> Iterator[Path]:
    """Yields the path to write a file or folder to: its own, or one of this machine whose files are then uploaded.

    Beside it other files may be written, which go to the same place. Hidden ones do not.

    Args:
        name: a path, or gs:// or s3://.
        last: tells by its name which file, when it is there, says that the others are; they are uploaded last.
        new: whether nothing may be there in a folder of that name.

    Raises:
        UserError: the bucket cannot be reached, before anything is done; or not be written.
    """
    if not is_remote(name):
        yield Path(name)
        return
    folder, base = folder_and_base(name)
    store.require_bucket(name)  # an hour later is no time to hear of that, or of missing credentials
    there = store.below(name) if new else []
    if there:
        raise UserError(f"{name} is not empty, it holds {there[0].name}: give another name, or remove what is there")
    places = cache.root() / "outgoing"
    files.make_folder(places)
    _remove_abandoned(places)
    place = places / secrets.token_hex(8)
    with one_writer(place, place.with_suffix(_LOCK), wait_s=_WAIT_S):
        files.make_folder(place)
        given.learn(place, folder)
        kept = False
        try:
            yield place / base
            try:
                _upload(place, folder, last)
            except UserError as error:
                kept = True  # hours of work
                # Not by its own name, which messages replace by the bucket's.
                where = f"{place.relative_to(cache.root())} in the cache, {cache.root()}"
                raise UserError(f"{error}; all that was to go there is in {where}") from error
        finally:
            if not kept:
                shutil.rmtree(place, ignore_errors=True)


def _remove_abandoned(places: Path) -> None:
    """Removes what processes of this machine that were killed have left."""
    for lock in places.glob(f"*{_LOCK}"):
        with abandoned(lock) as dead:
            if dead:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)


def _upload(place: Path, folder: str, last: Callable[[str], bool]) -> None:
    found = (path.relative_to(place) for path in place.rglob("*") if path.is_file())
    ready = sorted(path for path in found if not any(part.startswith(".") for part in path.parts))
    for path in sorted(ready, key=lambda path: last(path.name)):
        store.upload(place / path, f"{folder}/{path.as_posix()}")
