"""Buckets and an empty cache for a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.registry import _registry

from rft_jax.remote import cache, given, store
from rft_jax.remote import hub as hub_models
from tests.remote import buckets, hub_server


def forget() -> None:
    """Forgets what a process knows of buckets, as if another process began."""
    store._systems.clear()
    store._reached_buckets.clear()
    given._given.clear()
    cache.file.cache_clear()
    cache.folder.cache_clear()
    hub_models.pinned.cache_clear()
    hub_models.model.cache_clear()


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


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of huggingface_hub's cache, which is empty, and no network; ours is empty too."""
    from huggingface_hub import constants

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # it goes by servers of its own
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    forget()
    yield tmp_path / "hub"
    forget()


@pytest.fixture
def hub(no_hub: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.Hub]:
    """A hub without models."""
    from huggingface_hub import constants

    with hub_server.Hub().serving() as served:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield served
