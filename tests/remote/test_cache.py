"""Copies are whole, of one version, made once, and have the user's names in messages."""

import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.remote import cache, given, store
from tests.remote.buckets import SITE, Buckets
from tests.remote.fixtures import forget

ROOT = Path(__file__).parents[2]


def any_place(place: str) -> bool:
    return True


def test_a_copy_has_the_bytes_and_the_last_name(bucket: Path, tmp_path: Path) -> None:
    (bucket / "a").mkdir()
    (bucket / "a" / "x.jsonl.gz").write_bytes(b"\0\1" * 1000)
    copy = cache.file("s3://bucket/a/x.jsonl.gz")
    assert (copy.name, copy.read_bytes()) == ("x.jsonl.gz", b"\0\1" * 1000)
    assert copy.is_relative_to(tmp_path / "cache")


def test_a_file_is_no_folder(bucket: Path) -> None:
    (bucket / "a").mkdir()
    (bucket / "a" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match=r"s3://bucket/a/model.safetensors/? is a file, and a folder is meant"):
        cache.folder("s3://bucket/a/model.safetensors/", any_place)


def test_a_version_is_fetched_once(bucket: Path, system: Buckets) -> None:
    (bucket / "x").write_text("first")
    first = cache.file("s3://bucket/x")
    cache.file.cache_clear()  # as another process
    assert cache.file("s3://bucket/x") == first
    assert system.got == ["bucket/x"]


def test_another_version_is_another_copy_but_not_within_one_process(bucket: Path) -> None:
    (bucket / "x").write_text("first")
    first = cache.file("s3://bucket/x")
    (bucket / "x").write_text("other")
    os.utime(bucket / "x", (1, 1))
    assert cache.file("s3://bucket/x") == first
    forget()
    assert cache.file("s3://bucket/x").read_text() == "other"
    assert first.read_text() == "first"


def test_a_folder_is_fetched_as_far_as_it_is_wanted_and_goes_on_where_it_failed(bucket: Path, system: Buckets) -> None:
    (bucket / "m" / "sub").mkdir(parents=True)
    for name in ("a.bin", "b.bin", "sub/c", "README.md"):
        (bucket / "m" / name).write_text(name)
    get_file, broken = system.get_file, True

    def breaks(rpath: str, lpath: str, **kwargs: object) -> None:
        if rpath.endswith("b.bin") and broken:
            Path(lpath).write_text("half")
            raise ConnectionError("reset by peer")
        get_file(rpath, lpath, **kwargs)

    system.get_file = breaks  # type: ignore[method-assign]
    wanted = any_but_readme
    with pytest.raises(UserError, match=r"cannot use s3://bucket/m/b.bin: reset by peer"):
        cache.folder("s3://bucket/m/", wanted)
    broken = False
    folder = cache.folder("s3://bucket/m/", wanted)
    assert folder.name == "m"
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert there == ["a.bin", "b.bin", "sub/c"]
    assert all((folder / name).read_text() == name for name in there)
    assert sorted(system.got) == ["bucket/m/a.bin", "bucket/m/b.bin", "bucket/m/sub/c"]


def any_but_readme(place: str) -> bool:
    return place != "README.md"


def test_several_at_once_fetch_one_copy(bucket: Path, system: Buckets) -> None:
    (bucket / "m").mkdir()
    for number in range(20):
        (bucket / "m" / str(number)).write_text(str(number))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: cache.folder.__wrapped__("s3://bucket/m", any_place), range(4)))
    [folder] = folders
    assert {path.name: path.read_text() for path in folder.iterdir()} == {str(i): str(i) for i in range(20)}
    assert len(system.got) == 20


def test_an_object_that_changes_while_it_is_read_is_refused(bucket: Path, system: Buckets) -> None:
    (bucket / "x").write_text("first")
    get_file = system.get_file

    def changes(rpath: str, lpath: str, **kwargs: object) -> None:
        get_file(rpath, lpath, **kwargs)
        (bucket / "x").write_text("other")
        os.utime(bucket / "x", (1, 1))

    system.get_file = changes  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"s3://bucket/x was changed while it was being read"):
        cache.file("s3://bucket/x")
    system.get_file = get_file  # type: ignore[method-assign]
    assert cache.file("s3://bucket/x").read_text() == "other"


def test_no_room_is_told_before_anything_is_fetched(
    bucket: Path, system: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket / "x").write_text("first")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"s3://bucket: a copy needs .* set RFT_JAX_CACHE"):
        cache.file("s3://bucket/x")
    assert system.got == []


def test_a_cache_that_cannot_be_written(bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    (bucket / "x").write_text("first")
    with pytest.raises(UserError, match=r"cannot keep copies in .*: .*; set RFT_JAX_CACHE"):
        cache.file("s3://bucket/x")


@pytest.mark.parametrize("name", ["s3://bucket/none", "s3://nobucket/none", "s3://bucket/folder"])
def test_what_is_not_there(bucket: Path, name: str) -> None:
    (bucket / "folder").mkdir()
    (bucket / "folder" / "x").write_text("x")
    with pytest.raises(UserError, match=f"no such file: {name}"):
        cache.file(name)


def test_an_empty_folder(bucket: Path) -> None:
    with pytest.raises(UserError, match="no such folder: s3://bucket/m; nothing"):
        cache.folder("s3://bucket/m", any_place)


def test_messages_have_the_names_that_were_given(bucket: Path) -> None:
    (bucket / "m").mkdir()
    (bucket / "m" / "config.json").write_text("{")
    folder = cache.folder("s3://bucket/m", any_place)
    assert given.told(f"{folder / 'config.json'}: not JSON") == "s3://bucket/m/config.json: not JSON"
    assert given.name_of(str(folder / "config.json")) == "s3://bucket/m/config.json"
    assert given.name_of(f"{folder}x") == f"{folder}x"


def test_a_command_ends_at_once_in_the_middle_of_a_copy_and_the_next_one_removes_it(
    bucket: Path, tmp_path: Path
) -> None:
    (bucket / "x.endless").write_text("whole")
    flags = ["--problems=s3://bucket/x.endless", "--paths=a", f"--output={tmp_path}/u.jsonl"]
    (tmp_path / "a").write_text("{}")
    command = [sys.executable, str(ROOT / "launch" / "select_paths.py"), *flags]
    path = os.pathsep.join([str(SITE), str(ROOT)])
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE)
    objects = tmp_path / "cache" / "objects"
    while not list(objects.glob(".*.partial")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert (process.returncode, len(told.splitlines())) == (130, 1)
    [copy] = store.below("s3://bucket")
    system = store._systems["s3"]
    system.get_file = system.fs.get_file  # of paths as the file system has them, so nothing comes
    with pytest.raises(UserError):
        cache.file("s3://bucket/x.endless")
    assert copy.size == 5
    assert list(objects.glob(".*.partial")) == []
