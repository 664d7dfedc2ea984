"""Two commands that write one folder: the second is told who the first is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.one_writer import filled, one_writer

HOLDS = """
import pathlib, sys, time
from rft_jax.one_writer import one_writer
with one_writer(pathlib.Path(sys.argv[1])):
    print("writes", flush=True)
    time.sleep(100)
"""


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "writes\n"
    told = rf"{tmp_path} is being written by process {first.pid} on .*"
    with pytest.raises(UserError, match=told), one_writer(tmp_path):
        pass
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with one_writer(tmp_path):  # a dead one holds nothing
        assert str(os.getpid()) in (tmp_path / ".writer").read_text()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are UTF-8")
def test_a_command_line_that_is_not_utf8(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["select.py", "--output=w\udcff"])
    with one_writer(tmp_path):
        assert (tmp_path / ".writer").read_bytes().endswith(b"--output=w\xff'")
        with pytest.raises(UserError, match=r"is being written by process .* select\.py '--output=w\ufffd'"):
            one_writer(tmp_path).__enter__()


def test_a_file(tmp_path):
    target, lock = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.writer"
    with one_writer(target, lock):
        with pytest.raises(UserError, match=r"out\.jsonl is being written by process"), one_writer(target, lock):
            pass
        with one_writer(tmp_path / "other", tmp_path / ".other.writer"):
            pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_filled(tmp_path):
    with pytest.raises(ValueError), filled(tmp_path / "new" / "folder"):
        raise ValueError
    assert not (tmp_path / "new" / "folder").exists()
    with filled(tmp_path / "kept"):
        (tmp_path / "kept" / "file").touch()
        with pytest.raises(UserError, match=r"kept is being written by process"), filled(tmp_path / "kept"):
            pass
    assert [each.name for each in (tmp_path / "kept").iterdir()] == ["file"]


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*: No such file"), one_writer(tmp_path / "missing"):
        pass
