"""A pipeline as dependent jobs on a real SLURM of one node: submitted, cancelled, requeued, submitted again."""

import json
import re
import shutil
import subprocess
import time

import pytest

from rft_jax.pipeline.stage_settings import root
from tests.launch.test_slurm import cluster, requeue, wait_for  # noqa: F401
from tests.pipeline import tiny_runs


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Returns a checkout with the scripts edited for this node: no GPUs, one processor, two workers."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("launch", "configs", "rft_jax"):
        shutil.copytree(root() / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for script in (folder / "launch" / "slurm").glob("*.sbatch"):
        text = re.sub(r"#SBATCH --gpus.*\n", "", script.read_text())
        text = re.sub(r"--cpus-per-task=\d+", "--cpus-per-task=1", text)
        script.write_text(text.replace("--array=0-3", "--array=0-1"))
    return folder


@pytest.mark.slow
def test_jobs_make_what_one_process_makes(cluster, checkout, request, tmp_path):  # noqa: F811
    environment = cluster | {"XLA_FLAGS": tiny_runs.FLAGS, "PYTHONPATH": str(checkout)}
    where = {"cwd": checkout, "env": environment}
    workdir = tmp_path / "jobs"

    # A submission of all stages; its training is requeued, its sampling cancelled.
    submitted = tiny_runs.run(workdir, "--submit=slurm", **where)
    assert submitted.returncode == 0, submitted.stderr
    jobs = json.loads((workdir / "jobs.json").read_text())
    assert list(jobs) == list(tiny_runs.STAGES)
    assert f"set: job {jobs['set']}, after {jobs['world']}, {jobs['paths']}" in submitted.stdout
    again = tiny_runs.run(workdir, "--submit=slurm", **where)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "jobs of this pipeline are still in the queue" in again.stderr
    wait_for(lambda: (workdir / "sft" / "metrics.jsonl").exists())
    requeue(environment, jobs["sft"])
    wait_for(lambda: (workdir / "paths" / "paths" / "manifest.json").exists())
    subprocess.run(["scancel", jobs["paths"]], env=environment, check=True)
    wait_for(lambda: not queued(environment))
    log = "".join(file.read_text() for file in checkout.glob("sft-*.log"))
    assert "to continue: python launch/pipeline.py --submit=slurm --config=" in log
    assert "Traceback" not in log
    assert not any((workdir / name).exists() for name in tiny_runs.STAGES[4:])

    # What is left, by the commands that are printed.
    printed = tiny_runs.run(workdir, "--submit=print", **where)
    assert [line.partition("=")[0] for line in printed.stdout.splitlines()] == [f"job{n}" for n in range(1, 6)]
    subprocess.run(["bash", "-eu"], input=printed.stdout, text=True, check=True, **where)
    wait_for(lambda: not queued(environment), 400)
    logs = "".join(file.read_text() for file in checkout.glob("*.log"))
    undisturbed = request.getfixturevalue("undisturbed")  # as a parameter it would run where `cluster` skips
    assert tiny_runs.made(workdir) == tiny_runs.made(undisturbed), logs
    assert "every stage is done" in tiny_runs.run(workdir, "--submit=slurm", **where).stdout


def queued(environment):
    time.sleep(0.5)
    return subprocess.run(
        ["squeue", "--noheader"], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
