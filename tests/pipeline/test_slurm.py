"""Which jobs are submitted, in what order, with stand-ins for SLURM's commands; tests/launch has the real ones."""

import concurrent.futures
import dataclasses
import json
import os
import shlex
import subprocess

import pytest

from rft_jax.config import LossStage, PipelineConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.pipeline import run, slurm
from rft_jax.pipeline.stage import Record
from rft_jax.pipeline.stage_settings import root
from tests.pipeline import tiny_runs

SBATCH = """#!/bin/sh
env | grep -c ^SLURM_JOB_ID >> "$RECORDS/leaks"
n=$(($(cat "$RECORDS/count" 2>/dev/null || echo 100) + 1))
echo $n > "$RECORDS/count"
echo "$@" >> "$RECORDS/sbatch"
[ $n = "$INTERRUPTED" ] && { kill -INT -$PPID; sleep 0.3; }
for option; do case $option in --comment=*) [ "$QUEUED" ] && echo "$n ${option#*=}" >> "$RECORDS/queue" ;; esac; done
[ $n = "$REFUSED" ] && { echo "sbatch: error: invalid partition" >&2; exit 1; }
echo "$n;east"
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Returns the tiny pipeline's config, in the checkout, where sbatch, squeue and scancel write down their calls."""
    commands = tmp_path / "commands"
    commands.mkdir()
    scripts = {
        "sbatch": SBATCH,
        "squeue": '#!/bin/sh\ncat "$RECORDS/queue" 2>/dev/null || true\n',
        "scancel": '#!/bin/sh\necho "$@" >> "$RECORDS/scancel"\n',
    }
    for name, text in scripts.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("RECORDS", str(tmp_path))
    monkeypatch.setenv("RFT_PYTHON", "/opt/python")
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # submitted from inside a job
    monkeypatch.chdir(root())
    return load("tests/pipeline/tiny.py", PipelineConfig)


ARGUMENTS = "--config=tests/pipeline/tiny.py", "--config.k=4", "--workdir=with space"


def submitted(tmp_path):
    file = tmp_path / "sbatch"
    return file.read_text().splitlines() if file.exists() else []


def test_each_stage_is_a_job_that_waits_for_what_it_needs(config, tmp_path):
    workdir = tmp_path / "out"
    told = slurm.submit(config, workdir, ARGUMENTS, redo=False)
    world, compared, sft, paths, selected, rft, evaluation, report = submitted(tmp_path)
    mark = f"--comment={slurm._mark(workdir)}"
    assert world == f"--parsable --job-name=world {mark} launch/slurm/report.sbatch --only=world {' '.join(ARGUMENTS)}"
    waits = "--dependency=afterok:101 --kill-on-invalid-dep=yes"
    assert f"{waits} launch/slurm/select.sbatch --only=contamination " in compared
    assert f"{waits} launch/slurm/train.sbatch --only=sft " in sft
    assert "--dependency=afterok:103:101 --kill-on-invalid-dep=yes launch/slurm/sample.sbatch --only=paths " in paths
    assert "--dependency=afterok:101:104 --kill-on-invalid-dep=yes launch/slurm/select.sbatch" in selected
    assert "launch/slurm/train.sbatch --only=rft" in rft
    assert "--dependency=afterok:106:101 --kill-on-invalid-dep=yes launch/slurm/evaluate.sbatch" in evaluation
    assert "--dependency=afterok:101:102:103:104:105:106:107 " in report
    assert "set: job 105, after 101, 104\n" in told
    assert json.loads((workdir / "jobs.json").read_text())["report"] == "108"
    assert set((tmp_path / "leaks").read_text().split()) == {"0"}


def test_what_is_printed_submits_the_same(config, tmp_path):
    printed = slurm.show(slurm.plan(config, tmp_path / "out", ARGUMENTS, redo=False))
    assert shlex.quote("--workdir=with space") in printed
    assert submitted(tmp_path) == []
    subprocess.run(["bash", "-eu"], input=printed, text=True, check=True)
    by_hand = submitted(tmp_path)
    (tmp_path / "count").unlink()
    slurm.submit(config, tmp_path / "out", ARGUMENTS, redo=False)
    assert submitted(tmp_path) == by_hand * 2


def test_only_what_is_left_is_submitted(config, tmp_path):
    workdir = tmp_path / "out"
    command = "python launch/pipeline.py"
    with pytest.raises(UserError, match=r"stage sft needs world, which is not done \(new\)"):
        run.run_only(config, workdir, "sft", launcher=(), workers=None, redo=False, command=command)
    with pytest.raises(UserError, match=r"no stage is called 'wrld' \(did you mean 'world'\?\)"):
        run.run_only(config, workdir, "wrld", launcher=(), workers=None, redo=False, command=command)
    for _ in range(2):
        run.run_only(config, workdir, "world", launcher=("env",), workers=3, redo=False, command=command)
    assert Record.read(workdir / "world").done
    assert list(json.loads((workdir / "pipeline.json").read_text()))[:2] == ["problems", "test"]
    jobs = slurm.plan(config, workdir, ARGUMENTS, redo=False)
    assert [(job.name, job.needs) for job in jobs[1:4]] == [("sft", ()), ("paths", ("sft",)), ("set", ("paths",))]
    # What is changed is made again, and all that depends on it decides for itself.
    (workdir / "world" / "test.jsonl").write_text("")
    assert [job.name for job in slurm.plan(config, workdir, ARGUMENTS, redo=False)][:2] == ["world", "contamination"]


def test_all_or_nothing_is_submitted_and_once(config, tmp_path, monkeypatch):
    workdir = tmp_path / "out"
    monkeypatch.setenv("REFUSED", "105")
    with pytest.raises(UserError, match=r"--only=set .*invalid partition; no job of this pipeline is left"):
        slurm.submit(config, workdir, ARGUMENTS, redo=False)
    assert (tmp_path / "scancel").read_text() == "101 102 103 104\n"
    monkeypatch.delenv("REFUSED")
    slurm.submit(config, workdir, ARGUMENTS, redo=False)
    (tmp_path / "queue").write_text("99 (null)\n107 our site's\n106 \n106 \n")
    with pytest.raises(UserError, match="still in the queue: 106, 107; wait until they end, or cancel them: scancel"):
        slurm.submit(config, workdir, ARGUMENTS, redo=False)
    (tmp_path / "queue").unlink()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="there is no squeue here"):
        slurm.submit(config, workdir, ARGUMENTS, redo=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="start it in"):
        slurm.plan(config, workdir, ARGUMENTS, redo=False)


def test_jobs_submitted_by_hand_are_known(config, tmp_path, monkeypatch):
    monkeypatch.setenv("QUEUED", "1")
    monkeypatch.setenv("USER", "somebody")
    printed = slurm.show(slurm.plan(config, tmp_path / "out", ARGUMENTS, redo=False))
    subprocess.run(["bash", "-eu"], input=printed, text=True, check=True)
    with pytest.raises(UserError, match="still in the queue: 101, 102, 103, 104, 105, 106, 107, 108; wait"):
        slurm.submit(config, tmp_path / "out", ARGUMENTS, redo=False)
    slurm.submit(config, tmp_path / "other", ARGUMENTS, redo=False)


def test_of_two_submissions_at_once_one_is_refused(config, tmp_path, monkeypatch):
    monkeypatch.setenv("QUEUED", "1")

    def submit(_):
        try:
            return slurm.submit(config, tmp_path / "out", ARGUMENTS, redo=False)
        except UserError as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(submit, range(2)))
    assert told[0].startswith("jobs of this pipeline are still in the queue: 101, 102,")
    assert told[1].startswith("world: job 101\n")
    assert len(submitted(tmp_path)) == 8


def test_interrupted_it_leaves_no_job(config, tmp_path, monkeypatch):
    """By Ctrl-C, which the terminal sends to sbatch too, when the job is in the queue and its number is not known."""
    monkeypatch.setenv("INTERRUPTED", "103")
    command = tiny_runs.command(tmp_path / "out", "--submit=slurm")
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1] == "error: interrupted; no job of this pipeline is left in the queue"
    assert (tmp_path / "scancel").read_text() == "101 102 103\n"
    assert len(submitted(tmp_path)) == 3


def test_a_loss_is_measured_by_one_worker(config, tmp_path):
    whole = dataclasses.replace(config, stages=(*config.stages, LossStage(name="loss", model="base", text="x.txt")))
    (job,) = (each for each in slurm.plan(whole, tmp_path / "run", ARGUMENTS, redo=False) if each.name == "loss")
    assert "--array=0" in job.command([])[: job.command([]).index("--only=loss") - 1]
