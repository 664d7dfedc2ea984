"""The quickstart's own config, all its stages as real processes, on a few problems."""

import json
import subprocess
import sys

import pytest

from rft_jax.pipeline.stage import Record
from rft_jax.pipeline.stage_settings import root

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


@pytest.mark.slow
def test_every_stage_runs_and_the_report_has_them_all(tmp_path):
    config, workdir = tmp_path / "small.py", tmp_path / "out"
    config.write_text(SMALL)
    command = [sys.executable, "launch/pipeline.py", f"--config={config}:3", f"--workdir={workdir}"]
    done = subprocess.run(command, cwd=root(), capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-2000:]

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
            assert stage["model"] in done.stdout.rpartition("] report:")[2]
            assert f"<td>{stage['model']}</td>" in page
    again = subprocess.run(command, cwd=root(), capture_output=True, text=True, timeout=300)
    assert again.stdout.count("done before, unchanged") == len(names) + 1
