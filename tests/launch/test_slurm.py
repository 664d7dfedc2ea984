"""The committed batch scripts on a real SLURM of one node: trained, sampled, cancelled, requeued."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import slurm_cluster
from tests.devices import xla_flags
from tests.launch.test_train import ROOT, assert_near, command, run, steps_done, unkilled, weights  # noqa: F401
from tests.select.in_parts import write_data
from tests.train.conftest import data, model_folder  # noqa: F401


@pytest.fixture(scope="module")
def cluster():
    if reason := slurm_cluster.missing():
        pytest.skip(f"no SLURM here: {reason}")
    with (
        tempfile.TemporaryDirectory(prefix="slurm", ignore_cleanup_errors=True) as folder,
        slurm_cluster.cluster(Path(folder)) as environment,
    ):
        yield environment | {
            "RFT_PYTHON": sys.executable,
            "XLA_FLAGS": xla_flags(4),
        }


def submit(cluster, log, script, arguments, *options):
    """Submits a script with no GPUs, of which the node has none, and returns the job's number."""
    done = subprocess.run(
        ["sbatch", "--parsable", *options, f"--output={log}", f"launch/slurm/{script}.sbatch", *arguments],
        cwd=ROOT, env=cluster, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def state(cluster, job):
    told = subprocess.run(["scontrol", "show", "job", job], env=cluster, capture_output=True, text=True, check=True)
    return set(re.findall(r"JobState=(\w+)", told.stdout)), set(re.findall(r"ExitCode=(\d+):", told.stdout))


def finish(cluster, job, seconds=300):
    """Waits until a job has ended; returns its states and exit codes, of all tasks of an array."""
    limit = time.monotonic() + seconds
    while (found := state(cluster, job))[0] & {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED"}:
        assert time.monotonic() < limit, found
        time.sleep(0.5)
    return found


def requeue(cluster, job):
    """Requeues a job, and has it start as soon as it has ended: SLURM alone would hold it for two minutes."""
    subprocess.run(["scontrol", "requeue", job], env=cluster, check=True)
    wait_for(lambda: "PENDING" in state(cluster, job)[0], 60)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], env=cluster, check=True)


def wait_for(holds, seconds=200):
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(file.stem for file in (ROOT / "launch" / "slurm").glob("*.sbatch")))
def test_each_script_is_accepted(cluster, script):
    options = [] if script == "select" else ["--gpus-per-node=0" if script == "train" else "--gpus=0"]
    options += ["--ntasks-per-node=2"] if script == "train" else []
    done = subprocess.run(
        ["sbatch", "--test-only", "--cpus-per-task=1", *options, f"launch/slurm/{script}.sbatch"],
        cwd=ROOT, env=cluster, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


TRAIN = "--gpus-per-node=0", "--cpus-per-task=1", "--ntasks-per-node=2"


@pytest.mark.slow
def test_a_training_of_two_tasks(cluster, unkilled, model_folder, data, tmp_path):  # noqa: F811
    log = tmp_path / "log"
    job = submit(cluster, log, "train", command(model_folder, data, tmp_path)[2:], *TRAIN)
    assert finish(cluster, job) == ({"COMPLETED"}, {"0"}), log.read_text()
    assert_near(weights(tmp_path), weights(unkilled))


@pytest.mark.slow
def test_cancelled_it_saves_and_requeued_it_goes_on(cluster, model_folder, data, tmp_path):  # noqa: F811
    log = tmp_path / "log"
    endless = command(model_folder, data, tmp_path, epochs=4000, save_every=10**6)[2:]
    job = submit(cluster, log, "train", endless, *TRAIN)
    wait_for(lambda: steps_done(tmp_path) >= 3)
    requeue(cluster, job)
    wait_for(lambda: "saved; to continue" in log.read_text(), 60)
    saved = int(re.findall(r"stopped after step (\d+)", log.read_text())[0])
    wait_for(lambda: f"resuming after step {saved}" in log.read_text())
    wait_for(lambda: steps_done(tmp_path) > saved)
    subprocess.run(["scancel", job], env=cluster, check=True)
    assert finish(cluster, job)[0] == {"CANCELLED"}
    wait_for(lambda: log.read_text().count("saved; to continue") >= 2, 60)
    assert "Traceback" not in log.read_text()
    assert str(steps_done(tmp_path)) in {path.name for path in (tmp_path / "checkpoints").iterdir()}


@pytest.mark.slow
def test_sampling_by_an_array(cluster, model_folder, data, tmp_path):  # noqa: F811
    settings = [
        f"--config.model={model_folder}", f"--config.problems={data}", "--config.k=8", "--config.max_new_tokens=24",
    ]  # fmt: skip
    alone = [sys.executable, "launch/sample.py", f"--workdir={tmp_path / 'alone'}", *settings]
    code, errors = run(alone, **{name: cluster[name] for name in ("XLA_FLAGS",)})
    assert code == 0, errors
    job = submit(
        cluster, tmp_path / "log-%a", "sample", [f"--workdir={tmp_path / 'array'}", *settings],
        "--array=0-3", "--gpus=0", "--cpus-per-task=1",
    )  # fmt: skip
    logs = "".join(file.read_text() for file in tmp_path.glob("log-*"))
    assert finish(cluster, job) == ({"COMPLETED"}, {"0"}), logs

    def contents(folder):
        return {file.name: file.read_bytes() for file in (tmp_path / folder / "paths").glob("*.jsonl")}

    assert contents("array") == contents("alone")
    assert len(contents("alone")) >= 2
    assert not os.path.lexists(tmp_path / "array" / "paths" / "claims")


@pytest.mark.parametrize(
    ("first", "last", "count", "part"),
    [(0, 31, 32, "--part=0/32"), (3, 5, 3, None), (0, 30, 16, None), (7, 7, 1, None)],
)
def test_an_array_of_other_numbers_is_refused(tmp_path, first, last, count, part):
    """The tasks of `--array=3-5` are not the parts 3/3, 4/3 and 5/3, nor those of `--array=0-31:2` half of 32."""
    (tmp_path / "srun").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    array = {"ID": first, "MIN": first, "MAX": last, "COUNT": count}
    done = subprocess.run(
        ["bash", "launch/slurm/select.sbatch", "--k=1"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_SUBMIT_DIR": str(ROOT)}
        | {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in array.items()},
    )  # fmt: skip
    if part:
        assert done.stdout == f"--ntasks=1 python launch/select_paths.py --workers=1 {part} --k=1\n"
    else:
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: give --array=0-(N-1) for N parts;")


@pytest.mark.slow
def test_selecting_by_an_array_and_merging(cluster, tmp_path):
    write_data(tmp_path)
    paths = ",".join(str(tmp_path / name) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl"))
    flags = [f"--problems={tmp_path / 'problems.jsonl'}", f"--paths={paths}", "--k=1"]
    jobs = {}
    for name, options in {"alone": [], "parts": ["--array=0-2"]}.items():
        (tmp_path / name).mkdir()
        output = f"--output={tmp_path / name / 'out.jsonl'}"
        jobs[name] = submit(
            cluster, tmp_path / f"log-{name}", "select", [*flags, output], "--cpus-per-task=1", *options
        )
    merge = submit(
        cluster, tmp_path / "log-merge", "select", ["--merge", *flags, output],
        "--cpus-per-task=1", f"--dependency=afterok:{jobs['parts']}",
    )  # fmt: skip
    for job in (*jobs.values(), merge):
        logs = "".join(file.read_text() for file in tmp_path.glob("log-*"))
        assert finish(cluster, job) == ({"COMPLETED"}, {"0"}), logs

    def contents(folder):
        return {file.name: file.read_bytes() for file in (tmp_path / folder).iterdir() if file.is_file()}

    assert contents("parts") == contents("alone")
    assert len(contents("alone")) == 3
    assert len(list((tmp_path / "parts").glob("out.jsonl.part-*-of-3"))) == 3
