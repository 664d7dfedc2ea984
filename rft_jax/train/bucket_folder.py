"""The folder of a run's checkpoints in a bucket, gs://, which has neither renames nor locks.

Orbax writes a step under its last name, and `commit_success.txt` there when all else is there; whoever removes a step
begins with that. Just before, we write the manifest: for each object the size and the MD5 sum that the store reckoned
from the bytes that came. An object is never changed in its place, and the store checks what it keeps, so to compare
its list with the manifest is to check the step, and nothing has to be read.
"""

import contextlib
import json
from collections.abc import Iterator

from rft_jax.errors import UserError
from rft_jax.remote import lease, store
from rft_jax.remote.lease import Lease
from rft_jax.remote.store import Object
from rft_jax.train import manifest
from rft_jax.train.disk_folder import ORIGIN_FILE, STATE

_COMMIT = "commit_success.txt"


class BucketFolder:
    """A folder in a bucket; it has the methods of disk_folder.DiskFolder."""

    flag = "--config.checkpoints"

    def __init__(self, name: str, held: Lease | None) -> None:
        """Knows its name, gs://BUCKET/FOLDER, and the lease of it: on the process that writes there, process 0."""
        self._name = name
        self._lease = held

    def __str__(self) -> str:
        """Returns its name, for people."""
        return self._name

    def steps(self) -> list[int]:
        """Returns the steps of the whole checkpoints, ascending."""
        return sorted(step for step, places in self._places().items() if _COMMIT in places)

    def fault(self, step: int, part: int, parts: int) -> str | None:
        """Returns what is wrong with a step, or None; the first part is all the work."""
        if part:
            return None
        objects = self._objects(step)
        if manifest.NAME not in objects:
            return f"{manifest.NAME} is missing"
        try:
            entries = manifest.parse(store.read(f"{self._name}/{step}/{manifest.NAME}").decode())
        except manifest.UNREADABLE:
            return f"{manifest.NAME} is damaged"
        for place, entry in sorted(entries.items()):
            there = objects.get(place)
            if there is None:
                return f"{place} is missing"
            if there.size != entry.size:
                return f"{place} has {there.size} bytes, {entry.size} were saved"
            if (entry.algorithm, entry.digest) != ("md5", there.md5):
                return f"{place} is not what was saved: its checksum differs"
        return None

    def origin(self, step: int) -> str:
        """Returns the text of what a step belongs to."""
        return store.read(f"{self._name}/{step}/{ORIGIN_FILE}").decode()

    def fate(self, step: int) -> str:
        """Tells what becomes of a damaged step."""
        return "removing the damaged one"

    def tidy(self, damaged: list[int]) -> None:
        """Removes what a killed process left half written or half removed, and damaged steps."""
        for step in damaged:
            store.remove(f"{self._name}/{step}/{_COMMIT}")
        for step, places in self._places().items():
            if _COMMIT not in places or step in damaged:
                store.remove(f"{self._name}/{step}")

    @contextlib.contextmanager
    def for_orbax(self) -> Iterator[str]:
        """Yields the folder as Orbax understands it."""
        import fsspec

        # Orbax asks through a gcsfs of its own, which would not see what tensorstore and other processes write.
        fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
        yield self._name

    def state(self, step: int) -> contextlib.AbstractContextManager[str]:
        """Yields the folder of a step's arrays as Orbax understands it."""
        return contextlib.nullcontext(f"{self._name}/{step}/{STATE}")

    def seal(self, step: int) -> None:
        """Writes the checksums of a step, when all of it is there and before it counts.

        Raises:
            UserError: another command has taken the folder, or the bucket cannot be used.
        """
        entries = {}
        for place, each in self._objects(step).items():
            if "/" not in place:  # small objects of Orbax's own, which it still writes to after us
                continue
            if not each.md5:
                raise UserError(f"{each.name} has no MD5 sum, without which it cannot be checked: take another bucket")
            entries[place] = {"bytes": each.size, "md5": each.md5}
        if self._lease is not None:
            self._lease.require()
        store.write(f"{self._name}/{step}/{manifest.NAME}", f"{json.dumps(entries, indent=1)}\n".encode())

    def reason(self, error: Exception) -> str | None:
        """Returns in a line why the folder could not be written."""
        return store.why("gs", error)

    def _objects(self, step: int) -> dict[str, Object]:
        folder = f"{self._name}/{step}"
        return {each.name.removeprefix(f"{folder}/"): each for each in store.below(folder)}

    def _places(self) -> dict[int, set[str]]:
        """Returns for each step of which something is there the places of its objects."""
        places: dict[int, set[str]] = {}
        for each in store.below(self._name):
            step, _, place = each.name.removeprefix(f"{self._name}/").partition("/")
            if place and step.isdecimal():
                places.setdefault(int(step), set()).add(place)
        return places


@contextlib.contextmanager
def opened(name: str, writes: bool) -> Iterator[BucketFolder]:
    """Yields a folder in a bucket, for this run alone while it is entered.

    Args:
        name: gs://BUCKET/FOLDER.
        writes: whether this process is the one of the run that holds the folder for all.

    Raises:
        UserError: another run writes there, or the bucket cannot be used.
    """
    name = name.rstrip("/")
    store.require_bucket(name)
    if not writes:
        yield BucketFolder(name, None)
        return
    with lease.held(name) as held:
        yield BucketFolder(name, held)
