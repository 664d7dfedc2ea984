"""Output appears whole, the file that says so last; what could not be uploaded is kept."""

from pathlib import Path

import pytest

from rft_jax.errors import UserError
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
