"""An evaluation by several real processes, as one run or as workers that share the samples, is that of one.

tests/pipeline has the same without votes for two workers and for a run of four.
"""

import json
import os
import subprocess
import sys

import pytest

from rft_jax.pipeline.stage_settings import root
from rft_jax.records.problem import write_problems
from rft_jax.world.generate import problems
from tests.devices import xla_flags

TOGETHER = [sys.executable, "tests/launch/together.py"]


def start(tests, workdir, launcher=()):
    settings = {
        "model": "rft_jax/world/base_model", "problems": tests, "k": 4, "temperature": 0.9, "max_new_tokens": 64,
        "rows": 16, "name": "base",
    }  # fmt: skip
    overrides = [f"--config.{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(
        [*launcher, sys.executable, "launch/evaluate.py", *overrides, f"--workdir={workdir}"],
        cwd=root(), env=os.environ | {"XLA_FLAGS": xla_flags(1)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process):
    """Returns what it told the user, once it has ended well."""
    told, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return told


def made(workdir):
    files = [workdir / "results.jsonl", *workdir.glob("paths/*.jsonl"), *workdir.glob("votes/paths/*.jsonl")]
    metrics = json.loads((workdir / "metrics.json").read_text())
    metrics.pop("made_by")
    return {str(file.relative_to(workdir)): file.read_bytes() for file in files} | {"metrics": metrics}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Returns the problems, the folder of one process's evaluation, and its table."""
    folder = tmp_path_factory.mktemp("one")
    write_problems(folder / "tests.jsonl", problems("test", 20, 0))
    return folder / "tests.jsonl", folder / "out", ended(start(folder / "tests.jsonl", folder / "out"))


@pytest.mark.slow
def test_one_run_of_two_processes(one, tmp_path):
    tests, workdir, table = one
    assert ended(start(tests, tmp_path / "out", [*TOGETHER, "2"])) == table
    assert made(tmp_path / "out") == made(workdir)


@pytest.mark.slow
def test_four_workers(one, tmp_path):
    tests, workdir, table = one
    workers = [start(tests, tmp_path / "out") for _ in range(4)]
    assert [ended(worker) for worker in workers] == [table] * 4
    assert made(tmp_path / "out") == made(workdir)
    right = made(workdir)["metrics"]["graders"]["reference"]
    assert 0 < right["maj1@1"]["mean"] < 1  # there was something to agree on
