"""Buckets and an empty cache for a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.registry import _registry

from rft_jax.remote import cache, given, store
from tests.remote import buckets


def forget() -> None:
    """Forgets what a process knows of buckets, as if another process began."""
    store._systems.clear()
    store._reached_buckets.clear()
    given._given.clear()
    cache.file.cache_clear()
    cache.folder.cache_clear()


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the bucket s3://bucket, which exists; this process and those that it starts see it."""
    folder = tmp_path / "buckets" / "bucket"
    folder.mkdir(parents=True)
    monkeypatch.setenv(buckets.FOLDER, str(folder.parent))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    known = dict(_registry)
    buckets.register()
    forget()
    yield folder
    forget()
    _registry.clear()
    _registry.update(known)


@pytest.fixture
def system(bucket: Path) -> buckets.Buckets:
    """What this process asks the bucket through; it counts."""
    store.find("s3://bucket/x")
    found = store._systems["s3"]
    assert isinstance(found, buckets.Buckets)
    return found
