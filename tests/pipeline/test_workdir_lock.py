"""Pipelines that are killed, and several in one workdir: what was left running is ended, and nothing is done twice."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rft_jax import stopping
from rft_jax.errors import UserError
from rft_jax.pipeline import workdir_lock
from rft_jax.pipeline.stage import Record
from rft_jax.pipeline.stage_settings import root
from rft_jax.pipeline.workdir_lock import Holder, Lock, lock
from rft_jax.sample.sharing import host
from tests.pipeline.test_run import SCRIPT, bench  # noqa: F401

PIPELINE = """
import pathlib, sys
sys.path.insert(0, {tests!r})
from tests.pipeline.test_run import Bench
from rft_jax.pipeline import attempt
attempt.TICK_S = 0.1
Bench(pathlib.Path(sys.argv[1])).run()
"""


def start(folder, within=()):
    command = [*within, sys.executable, "-c", PIPELINE.format(tests=str(root())), str(folder)]
    return subprocess.Popen(command, cwd=root())


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


# A script's background job ignores Ctrl-C from the start, and so would a stage's command.
IN_THE_BACKGROUND = ("bash", "-c", 'trap "" INT; exec "$@"', "bash")


@pytest.mark.parametrize(
    ("number", "within"),
    [(signal.SIGKILL, ()), (signal.SIGTERM, ()), (signal.SIGINT, ()), (signal.SIGINT, IN_THE_BACKGROUND)],
    ids=["kill", "term", "ctrl-c", "ctrl-c in the background"],
)
def test_a_killed_pipeline_goes_on_where_it_was(bench, tmp_path, number, within):  # noqa: F811
    bench.workdir.mkdir()
    gate = bench.workdir / "wait-b"
    gate.touch()
    pipeline = start(tmp_path, within)
    until(lambda: bench.runs().get("b") == 1)
    os.kill(pipeline.pid, number)
    assert pipeline.wait(timeout=60) != 0
    gate.unlink()
    until(lambda: not held(bench.workdir))  # where only the pipeline was killed, its command has come to its end
    assert bench.what() == {"a": "done", "b": "resume", "c": "new", "d": "new"}
    bench.run()
    assert bench.sums() == {"a": 101, "b": 103, "c": 106, "d": 104}
    assert bench.runs()["a"] == 1


def held(folder):
    """Returns whether a pipeline or its command holds the lock, without ending what was left running."""
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_what_a_killed_pipeline_left_running_is_ended_and_its_seconds_count(bench, tmp_path, capfd):  # noqa: F811
    bench.workdir.mkdir()
    gate = bench.workdir / "wait-b"
    gate.touch()
    pipeline = start(tmp_path)
    until(lambda: bench.runs().get("b") == 1)
    with pytest.raises(UserError, match=f"another pipeline.*: process {pipeline.pid} on "):
        bench.run()
    time.sleep(1)
    pipeline.kill()
    pipeline.wait()
    assert held(bench.workdir)
    second = start(tmp_path)
    until(lambda: bench.runs().get("b") == 2)
    assert "stage b was left running by a killed pipeline (process " in capfd.readouterr().out
    gate.unlink()
    assert second.wait(timeout=60) == 0
    assert 1 < Record.read(bench.workdir / "b").seconds < 20
    assert bench.sums() == {"a": 101, "b": 103, "c": 106, "d": 104}


def test_one_that_does_not_listen_is_killed(bench, tmp_path, capfd, monkeypatch):  # noqa: F811
    monkeypatch.setattr(workdir_lock, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(stopping, "GRACE_S", 0.5)
    bench.script.write_text("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SCRIPT)
    bench.workdir.mkdir()
    gate = bench.workdir / "wait-a"
    gate.touch()
    pipeline = start(tmp_path)
    until(lambda: bench.runs().get("a") == 1)
    pipeline.kill()
    pipeline.wait()
    with lock(bench.workdir):
        gate.unlink()
    assert not (bench.workdir / "a" / "sum").exists()


def held_for(folder, seconds, stage, leads=False):
    """Lets a process hold the lock that a pipeline left to it, which was killed before it said which process."""
    (folder / ".lock").touch()
    with (folder / ".lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        orphan = subprocess.Popen(["sleep", str(seconds)], pass_fds=(file.fileno(),), start_new_session=leads)
        ended = subprocess.Popen(["true"])
        pipeline = host.identity(ended.pid)
        ended.wait()
        Lock(file.fileno(), Holder("process 7 on x", pipeline)).runs(stage)
    return orphan


def test_a_pipeline_killed_before_it_said_which_process(tmp_path, capfd):
    """A stage's command leads a session, and has the lock's file open."""
    orphan = held_for(tmp_path, 60, "b", leads=True)
    threading.Thread(target=orphan.wait, daemon=True).start()  # nobody else would, as its parent is alive here
    with lock(tmp_path):
        assert orphan.wait(timeout=5) == -signal.SIGTERM
    assert f"stage b was left running by a killed pipeline (process {orphan.pid})" in capfd.readouterr().out


def test_what_cannot_be_ended_is_waited_for_a_moment(tmp_path, monkeypatch):
    orphan = held_for(tmp_path, 0.5, "b")
    with lock(tmp_path):
        assert orphan.wait(timeout=5) == 0
    monkeypatch.setattr(workdir_lock, "_PATIENCE_S", 0.2)
    orphan = held_for(tmp_path, 60, "b")
    told = "a command of stage b that a killed pipeline, process 7 on x, left running: wait until it ends, or end it"
    with pytest.raises(UserError, match=told), lock(tmp_path):
        pass
    orphan.kill()
    orphan.wait()


def test_jobs_share_a_workdir_and_keep_a_pipeline_out(tmp_path):
    told = pytest.raises(UserError, match=r"jobs of a pipeline \(--submit=slurm\) are running")
    with lock(tmp_path, shared=True), lock(tmp_path, shared=True), told, lock(tmp_path):
        pass
    with lock(tmp_path), pytest.raises(UserError, match="another pipeline"), lock(tmp_path, shared=True):
        pass
    with lock(tmp_path):
        pass
