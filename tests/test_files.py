"""A file or folder appears whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.files import PARTIAL, create_file, whole_file, whole_folder


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_done(tmp_path):
    target = tmp_path / "out.jsonl"
    with whole_file(target) as temporary:
        temporary.write_text("all of it")
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert listing(tmp_path) == ["out.jsonl"]


def test_an_exception_leaves_the_old_file(tmp_path):
    target = tmp_path / "out.jsonl"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert listing(tmp_path) == ["out.jsonl"]


def test_a_folder_replaces_the_old_one(tmp_path):
    target = tmp_path / "model"
    for text in ("first", "second"):
        with whole_folder(target) as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner" / "file").write_text(text)
        assert (target / "inner" / "file").read_text() == text
    assert listing(tmp_path) == ["model"]


def test_an_exception_leaves_the_old_folder(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    with pytest.raises(RuntimeError), whole_folder(target) as temporary:
        (temporary / "file").write_text("half")
        raise RuntimeError
    assert listing(tmp_path) == ["model"]
    assert listing(target) == []


@pytest.mark.parametrize("writer", [whole_file, whole_folder])
def test_a_missing_parent_is_one_line(tmp_path, writer):
    with pytest.raises(UserError, match=r"cannot write .*nowhere"), writer(tmp_path / "nowhere" / "out") as temporary:
        temporary.write_text("x")


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="No space left on device"), whole_file(tmp_path / "out"):
        Path("/dev/full").write_text("x")
    assert listing(tmp_path) == []


def test_killed_while_writing(tmp_path):
    program = (
        "import sys, time; from rft_jax.files import whole_file\n"
        "with whole_file('out') as temporary:\n"
        "    temporary.write_text('half'); print('writing', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert all(name.endswith(PARTIAL) for name in listing(tmp_path))


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_created_once(tmp_path, monkeypatch, links):
    def no_links(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    assert create_file(tmp_path / "a", b"first")
    assert not create_file(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    with pytest.raises(UserError, match="cannot write"):
        create_file(tmp_path / "nowhere" / "a", b"first")
