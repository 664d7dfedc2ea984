"""Ten kills of a pipeline at random moments: in the end it has made, byte for byte, what an undisturbed one makes."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rft_jax.pipeline import workdir_lock
from rft_jax.pipeline.stage_settings import root
from rft_jax.sample.sharing import host
from tests.pipeline import tiny_runs

WAYS = ("pipeline", "stage", "both", "term")


def stage_process(workdir):
    """Returns the id of the process of the stage that runs now, or None."""
    with contextlib.suppress(FileNotFoundError), (workdir / ".lock").open() as file:
        holder = workdir_lock.read(file.fileno())
        return host.running_here(holder.command) if holder else None


def kill_stage(workdir):
    """Kills the process of the stage that runs now, if there is one."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        if stage := stage_process(workdir):
            os.kill(stage, signal.SIGKILL)


def left_running(workdir):
    """Returns the commands of processes that name the workdir."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes().decode(errors="replace").split("\0")
            found += [words] if any(word.endswith(f"={workdir}") or f"{workdir}/" in word for word in words) else []
    return found


@pytest.mark.slow
def test_ten_random_kills(undisturbed, tmp_path):
    where = {"cwd": root(), "env": os.environ | {"XLA_FLAGS": tiny_runs.FLAGS}}
    workdir = tmp_path / "killed"
    dice = random.Random(20261126)
    ways = [*WAYS, *WAYS, *dice.sample(WAYS, 2)]
    dice.shuffle(ways)
    for number, way in enumerate(ways):
        with (tmp_path / f"output{number}").open("w+") as output:
            pipeline = subprocess.Popen(tiny_runs.command(workdir), stdout=output, stderr=output, **where)
            limit = time.monotonic() + 60
            while stage_process(workdir) is None and pipeline.poll() is None:
                assert time.monotonic() < limit, way
                time.sleep(0.01)
            with contextlib.suppress(subprocess.TimeoutExpired):
                pipeline.wait(dice.uniform(0, 10))
            if way in ("stage", "both"):
                kill_stage(workdir)
            if way in ("pipeline", "both"):
                pipeline.kill()
            elif way == "term":
                pipeline.terminate()
            limit = time.monotonic() + 60
            while (code := pipeline.poll()) is None:
                assert time.monotonic() < limit, way
                if way == "stage":  # the last one may have ended just before its kill, and the next one begun
                    kill_stage(workdir)
                time.sleep(0.01)
            output.seek(0)
            said = output.read()
        assert code in {"stage": (0, 1), "term": (0, 130)}.get(way, (0, -signal.SIGKILL)), (way, said)
        assert "Traceback" not in said, (way, said)
        if code == 1:
            assert "failed (exit code -9)" in said.splitlines()[-1]
    last = tiny_runs.run(workdir, **where)
    assert last.returncode == 0, last.stderr
    assert tiny_runs.made(workdir) == tiny_runs.made(undisturbed)
    assert left_running(workdir) == []
    assert not list(workdir.rglob("*.partial"))
