"""Two processes of one run, of each command: killed, interrupted, started wrong.

Each kill takes about a minute, as the other process takes most of one to be sure. RFT_JAX_TEST_KILLS=10 kills oftener.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.devices import xla_flags
from tests.launch.test_train import command, finish, free_port, start
from tests.train.conftest import data, model_folder  # noqa: F401

KILLS = int(os.environ.get("RFT_JAX_TEST_KILLS", "1"))
NAMES = ["train", "sample", "evaluate"]


def arguments_of(name: str, model: Path, file: Path, workdir: Path, work: int = 1) -> list[str]:
    if name == "train":
        return command(model, file, workdir, epochs=20 * work)
    settings = {"model": model, "problems": file, "k": 40 * work, "max_new_tokens": 48, "rows": 16}
    overrides = [f"--config.{field}={value}" for field, value in settings.items()]
    return [sys.executable, f"launch/{name}.py", f"--workdir={workdir}", *overrides]


def together(*arguments: list[str]) -> list[subprocess.Popen[str]]:
    """Starts two processes of two devices each, with the same arguments or each with its own."""
    environment = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
        "XLA_FLAGS": xla_flags(2),
    }
    return [start(arguments[-number], **environment, JAX_PROCESS_ID=str(number)) for number in range(2)]


def worker_of(process: subprocess.Popen[str]) -> int:
    """Returns the process that does the work: a child, once there is one, of the one that was started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else process.pid


def outcome(workdir: Path) -> dict[str, bytes]:
    """Returns what others read of a run, by name: not its checkpoints, nor what tells the time."""
    kept = {
        str(file.relative_to(workdir)): file.read_bytes()
        for file in sorted(workdir.rglob("*"))
        if file.is_file() and file.relative_to(workdir).parts[0] not in ("checkpoints", "metrics.jsonl", "events")
    }
    return {name: content for name, content in kept.items() if "tfevents" not in name}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_of_two_is_killed(model_folder, data, tmp_path, name):  # noqa: F811
    begun = time.monotonic()
    for process in together(arguments_of(name, model_folder, data, tmp_path / "undisturbed" / "run")):
        code, errors = finish(process)
        assert code == 0, errors
    whole = time.monotonic() - begun

    choose = random.Random(name)
    kills, folders = 0, 0
    while kills < KILLS:  # where a run is complete before its next kill, another one goes on in a new folder
        assert folders < 5 * KILLS, "every run was over before it could be killed"
        workdir = tmp_path / f"killed {folders}" / "run"
        folders += 1
        arguments = arguments_of(name, model_folder, data, workdir)
        while kills < KILLS:
            processes = together(arguments)
            victim = choose.randrange(2)
            time.sleep(choose.uniform(0.05, 0.6) * whole)  # what follows finds its programs compiled, and is faster
            if any(process.poll() is not None for process in processes):  # what was left was little
                assert [finish(process)[0] for process in processes] == [0, 0]
                break
            os.kill(choose.choice([worker_of, lambda process: process.pid])(processes[victim]), signal.SIGKILL)
            killed = time.monotonic()
            kills += 1
            code, errors = finish(processes[1 - victim])
            finish(processes[victim])
            if code != 0:  # the other may just have done its part
                told = [line for line in errors.splitlines() if line.startswith("error: ")]
                assert (code, len(told)) == (1, 1), errors
                assert time.monotonic() - killed < 65
            assert "Traceback" not in errors
        for process in together(arguments):
            code, errors = finish(process)
            assert code == 0, errors
        assert outcome(workdir) == outcome(tmp_path / "undisturbed" / "run")
    print(f"{kills} kills in {folders} folders")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_sigterm_to_both(model_folder, data, tmp_path, name):  # noqa: F811
    """As schedulers do it: at any moment, from the imports on."""
    choose = random.Random(name)
    for moment in (choose.uniform(0.5, 4), choose.uniform(4, 15)):
        processes = together(arguments_of(name, model_folder, data, tmp_path / "run", work=1000))
        time.sleep(moment)
        for process in processes:
            process.terminate()
        begun = time.monotonic()
        for process in processes:
            code, errors = finish(process, 60)
            # Where Python has just started, the system ends it.
            assert code in (130, -signal.SIGTERM), errors
            assert "Traceback" not in errors
        assert time.monotonic() - begun < 35


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sample", "evaluate"])
@pytest.mark.parametrize("what", ["temperature", "model", "problems"])
def test_processes_that_disagree_sample_nothing(model_folder, data, tmp_path, name, what):  # noqa: F811
    other_data = tmp_path / "others.jsonl"
    other_data.write_text("".join(reversed(data.read_text().splitlines(keepends=True))))
    other_model = shutil.copytree(model_folder, tmp_path / "other model")
    generation = other_model / "generation_config.json"
    generation.write_text(generation.read_text().replace("{", '{ "top_k": 7,', 1))
    ours, other = (
        arguments_of(name, model, file, tmp_path / "run")
        for model, file in ((model_folder, data), (other_model, other_data))
    )
    changed = {"model": other[3:4], "problems": other[4:5], "temperature": ["--config.temperature=0.9"]}[what]
    ended = [finish(process) for process in together(ours, [*ours, *changed])]
    assert [code for code, _ in ended] == [1, 1], ended
    told = [line for _, errors in ended for line in errors.splitlines() if line.startswith("error: ")]
    assert 1 <= len(told) <= 2, ended
    assert all(f"process 1 has another config.{what} than process 0" in line for line in told), told
    assert not any("Traceback" in errors for _, errors in ended)
    assert not [file for file in tmp_path.glob("run/**/*") if file.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES=two is no number"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost:1"}, "JAX_COORDINATOR_ADDRESS is set, but not JAX_NUM_PROCESSES"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "start the command with srun"),
    ],
)
def test_half_set_variables(model_folder, data, tmp_path, name, variables, told):  # noqa: F811
    code, errors = finish(start(arguments_of(name, model_folder, data, tmp_path / "run"), **variables))
    assert code == 1
    [line] = errors.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_bucket_that_cannot_be_used(data, tmp_path, name, monkeypatch):  # noqa: F811
    """For want of credentials, or of the extra: one line on process 0."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments = arguments_of(name, "s3://bucket/model", data, tmp_path / "run")
    (first, told), (second, silence) = (finish(process) for process in together(arguments))
    assert (first, second, silence) == (1, 1, "")
    [line] = told.splitlines()
    assert line.startswith("error: ")
    assert "s3://bucket/model" in line
    assert "no access" in line or "pip install 'rft-jax[s3]'" in line
