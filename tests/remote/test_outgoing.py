"""Output appears whole, the file that says so last; what could not be uploaded is kept."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.pipeline.stage_settings import root
from rft_jax.remote.outgoing import outgoing
from tests.remote.buckets import Buckets


def is_config(name: str) -> bool:
    return name == "config.json"


def write_model(folder: Path) -> None:
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "z.safetensors", ".hidden"):
        (folder / name).write_text(name)


def test_a_path_is_itself(tmp_path: Path) -> None:
    with outgoing(str(tmp_path / "a"), last=is_config, new=True) as place:
        assert place == tmp_path / "a"


def test_a_folder_appears_with_its_last_file_last(bucket: Path, system: Buckets, tmp_path: Path) -> None:
    with outgoing("s3://bucket/run/model", last=is_config, new=True) as place:
        write_model(place)
        assert list(bucket.iterdir()) == []
    names = ["tokenizer.json", "z.safetensors", "config.json"]
    assert system.put == [f"bucket/run/model/{name}" for name in names]
    assert {path.name: path.read_text() for path in (bucket / "run" / "model").iterdir()} == {n: n for n in names}
    assert list((tmp_path / "cache" / "outgoing").iterdir()) == []


def test_nothing_appears_after_an_error(bucket: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), outgoing("s3://bucket/run/model", last=is_config) as place:
        write_model(place)
        raise KeyboardInterrupt
    assert list(bucket.iterdir()) == []
    assert list((tmp_path / "cache" / "outgoing").iterdir()) == []


def test_what_is_there_is_not_mixed_with(bucket: Path) -> None:
    write_model(bucket / "model")
    with (
        pytest.raises(UserError, match=r"s3://bucket/model is not empty, it holds s3://bucket/model/.*"),
        outgoing("s3://bucket/model", last=is_config, new=True),
    ):
        raise AssertionError("told too late")


def test_what_cannot_be_uploaded_is_kept(bucket: Path, system: Buckets, tmp_path: Path) -> None:
    def forbidden(lpath: str, rpath: str, **_: object) -> None:
        if rpath.endswith(".safetensors"):
            raise PermissionError("Forbidden")

    system.put_file = forbidden  # type: ignore[method-assign]
    with (
        pytest.raises(UserError, match=r"s3://bucket/model/z.safetensors: no access .* is in outgoing/.* in the cache"),
        outgoing("s3://bucket/model", last=is_config) as place,
    ):
        write_model(place)
    [kept] = (tmp_path / "cache" / "outgoing").iterdir()
    assert (kept / "model" / "z.safetensors").read_text() == "z.safetensors"


def test_no_such_bucket_is_told_before_the_work(bucket: Path) -> None:
    with (
        pytest.raises(UserError, match="s3://nobucket/x: there is no bucket s3://nobucket"),
        outgoing("s3://nobucket/x", last=is_config),
    ):
        raise AssertionError("told too late")


KILLED = """
import os, signal
from rft_jax.remote import store
from rft_jax.remote.outgoing import outgoing
store.require_bucket = lambda name: None
with outgoing("s3://bucket/model", last=lambda name: False) as place:
    place.mkdir()
    (place / "half").write_text("a model")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed(bucket: Path, system: Buckets, tmp_path: Path) -> None:
    """But neither what a living one is making, nor what was kept."""
    places = tmp_path / "cache" / "outgoing"
    with outgoing("s3://bucket/living", last=is_config) as living:
        write_model(living)
        (places / "kept").mkdir()
        before = set(places.iterdir())
        killed = subprocess.run([sys.executable, "-c", KILLED], cwd=root(), check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(set(places.iterdir()) - before) == 2
        with outgoing("s3://bucket/next", last=is_config):
            assert len(set(places.iterdir()) - before) == 2
        assert set(places.iterdir()) == before
    assert (bucket / "living" / "config.json").exists()
    assert list(places.iterdir()) == [places / "kept"]
