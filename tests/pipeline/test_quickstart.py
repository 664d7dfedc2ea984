"""The quickstart's own config, all its stages as real processes, on a few problems; and each as several processes."""

import json
import os
import subprocess
import sys

import pytest

from rft_jax.pipeline.stage import Record
from rft_jax.pipeline.stage_settings import root
from tests.devices import xla_flags

# Two devices exchange sums of two numbers, which have one order: so one process of both makes to the bit what two make.
DEVICES = xla_flags(2)
TOGETHER = f"{sys.executable} tests/launch/together.py 2"
BRANCH = ("world", "sft-a", "paths-a", "select-a", "rft", "sft-long", "eval-sft", "eval-base")
# The same stages on 12 training problems.
SMALL = """
import dataclasses
import importlib.util

from rft_jax.config import WorldStage

spec = importlib.util.spec_from_file_location("quickstart", "configs/quickstart.py")
quickstart = importlib.util.module_from_spec(spec)
spec.loader.exec_module(quickstart)


def get_config(argument="0"):
    made = quickstart.get_config(argument)
    small = [
        dataclasses.replace(stage, train=12, test=10) if isinstance(stage, WorldStage) else stage
        for stage in made.stages
    ]
    return dataclasses.replace(made, stages=tuple(small))
"""


def steps(folder):
    return len((folder / "metrics.jsonl").read_text().splitlines())


def start(config, workdir, *more):
    return subprocess.Popen(
        [sys.executable, "launch/pipeline.py", f"--config={config}:3", f"--workdir={workdir}", *more],
        cwd=root(), env=os.environ | {"XLA_FLAGS": DEVICES}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process):
    """Returns what it told the user, once it has ended well."""
    told, errors = process.communicate(timeout=1500)
    assert process.returncode == 0, errors[-2000:]
    return told


def made(workdir, name):
    """Returns the files that a stage has made, without what says where, and by which processes."""
    folder, found = workdir / name, {}
    for file in Record.read(folder).outputs:
        if file.endswith(".json"):
            fields = json.loads((folder / file).read_text().replace(str(workdir), "OUT"))
            found[file] = {field: value for field, value in fields.items() if field != "made_by"}
        else:
            found[file] = (folder / file).read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns the config, the folder of a run by one process a stage, and what it told."""
    folder = tmp_path_factory.mktemp("quickstart")
    config, workdir = folder / "small.py", folder / "out"
    config.write_text(SMALL)
    return config, workdir, ended(start(config, workdir))


@pytest.mark.slow
def test_every_stage_runs_and_the_report_has_them_all(whole):
    config, workdir, told = whole
    plan = json.loads((workdir / "pipeline.json").read_text())
    names = [stage["name"] for stage in plan["stages"]]
    assert all(Record.read(workdir / name).done for name in [*names, "report"])
    assert steps(workdir / "sft-long") >= steps(workdir / "rft") > 0
    union = json.loads((workdir / "select-union" / "selected.jsonl.stats.json").read_text())
    assert list(union["models"]) == ["sft-a", "sft-b"]
    assert union["united"]["samples"] == 2 * 12 * 16

    page = (workdir / "report.html").read_text()
    for stage in plan["stages"]:
        if stage["kind"] == "evaluate":
            assert stage["model"] in told.rpartition("] report:")[2]
            assert f"<td>{stage['model']}</td>" in page
    again = ended(start(config, workdir))
    assert again.count("done before, unchanged") == len(names) + 1


@pytest.mark.slow
def test_two_processes_a_stage_make_the_same(whole, tmp_path):
    """As SLURM's jobs start them: trainings of two processes, and two workers that sample or evaluate.

    One branch of the quickstart, with a stage of each kind and one that counts another's steps.
    """
    config, one, _ = whole
    workdir = tmp_path / "out"
    for stage in json.loads((one / "pipeline.json").read_text())["stages"]:
        name, kind = stage["name"], stage["kind"]
        if name not in BRANCH and kind != "contamination":
            continue
        launcher = [f"--launcher={TOGETHER}"] if kind == "train" else []
        workers = 2 if kind in ("sample", "evaluate") else 1
        for process in [start(config, workdir, f"--only={name}", *launcher) for _ in range(workers)]:
            ended(process)
        assert made(workdir, name) == made(one, name), name
