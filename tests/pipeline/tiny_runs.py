"""Runs of the tiny pipeline, and what they have made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rft_jax.pipeline.stage import Record
from rft_jax.pipeline.stage_settings import root
from tests.devices import xla_flags

FLAGS = xla_flags(1)
STAGES = ("world", "contamination", "sft", "paths", "set", "rft", "eval", "report")


def command(workdir: Path, *more: str) -> list[str]:
    """Returns the command that runs it, in any checkout."""
    config = Path(__file__).with_name("tiny.py")
    return [sys.executable, "launch/pipeline.py", f"--config={config}", f"--workdir={workdir}", *more]


def run(workdir: Path, *more: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    where = {"cwd": root(), "timeout": 900} | options
    return subprocess.run(command(workdir, *more), capture_output=True, text=True, check=False, **where)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Returns the workdir of a run that nothing disturbs."""
    workdir = tmp_path_factory.mktemp("tiny") / "undisturbed"
    done = run(workdir, env=os.environ | {"XLA_FLAGS": FLAGS})
    assert done.returncode == 0, done.stderr
    return workdir


def made(workdir: Path) -> dict[str, object]:
    """Returns what a finished run has made, byte for byte, without what names its folder."""
    assert [name for name in STAGES if not Record.read(workdir / name).done] == []
    files = [
        "world/train.jsonl", "contamination/pairs.jsonl", "sft/model/model.safetensors",
        "set/selected.jsonl", "rft/model/model.safetensors",
        "eval/results.jsonl",
    ]  # fmt: skip
    files += sorted(str(file.relative_to(workdir)) for file in workdir.glob("*/paths/*.jsonl"))
    metrics = json.loads((workdir / "eval" / "metrics.json").read_text())
    assert (workdir / "report.html").is_file()
    return {name: (workdir / name).read_bytes() for name in files} | {
        "metrics": {name: metrics[name] for name in ("graders", "audits", "count", "fingerprint")},
        "steps": [json.loads(line)["step"] for line in (workdir / "rft" / "metrics.jsonl").read_text().splitlines()],
    }
