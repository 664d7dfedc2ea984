"""What a killed selection leaves goes with the next one; what a living one uses stays."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_jax.files import whole_file
from rft_jax.select import scratch as module
from rft_jax.select.scratch import scratch

KILLED = """
import os, pathlib, signal, sys
from rft_jax.files import whole_file
from rft_jax.select.scratch import scratch
target = pathlib.Path(sys.argv[1])
with scratch(target) as folder, whole_file(target) as begun:
    (folder / "paths-0").write_text("x" * 1000)
    begun.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(target: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode < 0


def test_what_a_killed_one_left_is_removed(tmp_path: Path) -> None:
    for name in ("out.jsonl", "another.jsonl"):  # the second one finds what the first left
        killed(tmp_path / name)
        assert len(list(tmp_path.glob(".*.partial"))) == 2
    with scratch(tmp_path / "out.jsonl") as folder:
        assert {file for file in tmp_path.iterdir()} == {folder}
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_one_uses_stays(tmp_path: Path) -> None:
    with scratch(tmp_path / "out.jsonl") as first:
        (first / "paths-0").write_text("x")
        with whole_file(tmp_path / "out.jsonl") as begun:
            begun.write_text("half")
            with scratch(tmp_path / "out.jsonl") as second:
                assert first != second
            assert (first / "paths-0").read_text() == "x"
            assert begun.read_text() == "half"


def age(path: Path) -> None:
    os.utime(path, (time.time() - 3600, time.time() - 3600))


@pytest.mark.parametrize("elsewhere", ["another machine", "no locks"])
def test_what_may_live_on_another_machine_stays_until_nobody_touches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    killed(tmp_path / "out.jsonl")
    left = set(tmp_path.iterdir())
    (lock,) = tmp_path.glob(".*/lock")
    if elsewhere == "another machine":
        lock.write_text(f"{lock.read_text().split()[0]} of-another-kernel")
    else:
        monkeypatch.setattr(fcntl, "flock", lambda *_: os.strerror(os.close(-1)))  # raises OSError
    with scratch(tmp_path / "out.jsonl") as folder:
        assert set(tmp_path.iterdir()) == {folder, *left}
    assert set(tmp_path.iterdir()) == left
    age(lock)
    with scratch(tmp_path / "out.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_living_one_touches_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOUCH_S", 0.01)
    with scratch(tmp_path / "out.jsonl") as folder:
        age(folder / "lock")
        limit = time.monotonic() + 30
        while time.time() - (folder / "lock").stat().st_mtime > 1800:
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_one_killed_before_it_had_a_lock_goes_in_time(tmp_path: Path) -> None:
    for name in (".out.jsonl.scratch-abc.partial", ".other.jsonl.scratch-x.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock.partial").write_text("")
    age(tmp_path / ".out.jsonl.scratch-abc.partial")
    with scratch(tmp_path / "out.jsonl"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == [".other.jsonl.scratch-x.partial"]


def test_folders_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".others.partial").mkdir()
    (tmp_path / ".others.partial" / "file").write_text("x")
    with scratch(tmp_path / "out.jsonl"):
        pass
    assert (tmp_path / ".others.partial" / "file").exists()
