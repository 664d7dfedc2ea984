"""Checkpoints in a bucket: what is whole, what is damaged, and what a killed process leaves; without Orbax."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from rft_jax.errors import UserError
from rft_jax.hf import located
from rft_jax.remote import cache, store
from rft_jax.train import checkpoint, manifest
from rft_jax.train.bucket_folder import BucketFolder
from tests.remote.fixtures import forget

RUN = "gs://bucket/run"
PARTS = {"state/d/1": b"numbers", "state/manifest.ocdbt": b"tree", "origin/metadata": b"{}"}
OWN = {"_CHECKPOINT_METADATA": b"{}"}


class Google(MemoryFileSystem):
    """A bucket that tells MD5 sums, as Google's do; in a folder of the memory."""

    protocol = ("gs", "gcs")
    store: dict[str, object] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    def info(self, path, **kwargs):
        return self._told(super().info(path, **kwargs))

    def ls(self, path, detail=True, **kwargs):
        found = super().ls(path, detail=True, **kwargs)
        return [self._told(each) for each in found] if detail else [each["name"] for each in found]

    def find(self, path, detail=False, **kwargs):
        found = super().find(path, detail=True, **kwargs)
        return {name: self._told(each) for name, each in found.items()} if detail else list(found)

    def _told(self, fields):
        if fields["type"] == "file":
            content = self.store[fields["name"]].getvalue()
            digest = hashlib.md5(content).digest()
            fields |= {"md5Hash": base64.b64encode(digest).decode(), "generation": digest.hex()}
        return fields


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Google:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    forget()
    Google.store.clear()
    system = Google(skip_instance_cache=True)
    monkeypatch.setitem(store._systems, "gs", system)
    monkeypatch.setattr(store, "_reached_buckets", {"gs://bucket"})
    system.pipe_file("bucket/other", b"of nobody")
    return system


@pytest.fixture
def folder(google: Google) -> BucketFolder:
    """With the whole steps 1 and 2."""
    folder = BucketFolder(RUN, None)
    for step in (1, 2):
        save(folder, step)
    return folder


def save(folder: BucketFolder, step: int, upto: str = "all") -> None:
    """Makes the objects of a step as Orbax does, until it is killed."""
    for place, content in (PARTS | OWN).items():
        store.write(f"{RUN}/{step}/{place}", content)
    if upto != "data":
        folder.seal(step)
    if upto == "all":
        store.write(f"{RUN}/{step}/commit_success.txt", b"")


def names() -> list[str]:
    return [each.name.removeprefix(f"{RUN}/") for each in store.below(RUN)]


def test_the_manifest_has_what_the_store_tells(folder: BucketFolder) -> None:
    entries = manifest.parse(store.read(f"{RUN}/1/{manifest.NAME}").decode())
    assert {name: (entry.size, entry.digest) for name, entry in entries.items()} == {
        name: (len(content), hashlib.md5(content).hexdigest()) for name, content in PARTS.items()
    }
    assert folder.fault(1, 0, 1) is None
    assert folder.origin(1) == "{}"


@pytest.mark.parametrize("upto", ["data", "seal"])
def test_half_a_step_is_not_seen_and_removed(folder: BucketFolder, upto: str) -> None:
    save(folder, 3, upto)
    assert folder.steps() == [1, 2]
    folder.tidy([])
    assert {name.split("/")[0] for name in names()} == {"1", "2"}
    assert folder.fault(2, 0, 1) is None
    assert store.find("gs://bucket/other") is not None


def test_a_damaged_step_is_removed(folder: BucketFolder) -> None:
    folder.tidy([2])
    assert folder.steps() == [1]
    assert {name.split("/")[0] for name in names()} == {"1"}


@pytest.mark.parametrize("place", [*PARTS, manifest.NAME])
@pytest.mark.parametrize("damage", ["removed", "cut", "other"])
def test_any_damage_is_found_and_named(folder: BucketFolder, google: Google, place: str, damage: str) -> None:
    name = f"{RUN}/2/{place}"
    content = store.read(name)
    if damage == "removed":
        store.remove(name)
    else:
        store.write(name, content[:-2] if damage == "cut" else bytes([content[0] ^ 4]) + content[1:])
    assert (folder.fault(2, 0, 2) or "").startswith(place)
    assert folder.fault(2, 1, 2) is None  # a second process need not look as well
    assert folder.fault(1, 0, 1) is None


def test_a_step_that_is_copied_is_checked_as_well(folder: BucketFolder) -> None:
    """For convert.py and --config.checkpoint."""
    copy = located.whole(f"{RUN}/2")
    checkpoint.check(copy)
    forgotten = copy / "state" / "d" / "1"
    forgotten.unlink()
    forgotten.write_bytes(b"numbers!"[1:])
    with pytest.raises(UserError, match="is damaged: state/d/1 is not what was saved"):
        checkpoint.check(copy)


def test_half_a_step_is_not_taken_for_an_early_version_s(folder: BucketFolder) -> None:
    save(folder, 3, "data")
    with pytest.raises(UserError, match=r"is damaged: manifest\.json is missing"):
        checkpoint.check(located.whole(f"{RUN}/3"))


def test_a_store_without_sums_is_refused(folder: BucketFolder, google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google, "_told", lambda fields: fields)
    with pytest.raises(UserError, match=r"gs://bucket/run/3/.* has no MD5 sum"):
        save(folder, 3)
    assert folder.steps() == [1, 2]


def test_whoever_lost_the_lease_completes_nothing(google: Google) -> None:
    class Lost:
        def require(self) -> None:
            raise UserError("taken over")

    folder = BucketFolder(RUN, Lost())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="taken over"):
        save(folder, 1)
    assert folder.steps() == []
    assert f"1/{manifest.NAME}" not in names()
    assert json.loads(store.read(f"{RUN}/1/origin/metadata")) == {}
