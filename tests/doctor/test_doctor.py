"""launch/doctor.py as real processes: alone, and two, of which one has or sees something else."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_jax.world import write
from tests.devices import xla_flags

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "rft_jax" / "world" / "base_model"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write.write_problem_sets(folder, train=40, test=20, seed=0)
    return folder / "train.jsonl"


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "launch/doctor.py", *map(str, arguments)], cwd=ROOT, text=True,
        env=os.environ | {"XLA_FLAGS": xla_flags(2)} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    lines = {line[8:22].strip(): line for line in out.splitlines() if line[:8].strip()}
    return process.returncode, lines, err.splitlines()


def two(first, second):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    together = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2", "RFT_JAX_MEET_S": "60"}
    begun = time.monotonic()
    processes = [start(*each, **together, JAX_PROCESS_ID=str(n)) for n, each in enumerate((first, second))]
    ended = [finish(process) for process in processes]
    assert time.monotonic() - begun < 60
    return ended


def training(data, workdir, model=MODEL):
    return "--config=configs/sft.py", f"--config.model={model}", f"--config.data={data}", f"--workdir={workdir}"


def test_alone(data, tmp_path):
    code, lines, err = finish(start(*training(data, tmp_path / "new")))
    assert (code, err) == (0, [])
    assert list(lines) == [
        "software", "processes", "devices", "config", "mesh", "collective", "workdir", "shared", "clocks", "inputs",
        "free disk", "memory",
    ]  # fmt: skip
    assert all(line.startswith("ok ") for line in lines.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_that_hangs_does_not_hang_the_doctor(tmp_path):
    os.mkfifo(tmp_path / "prompt_format.json")  # opening it waits for a writer
    begun = time.monotonic()
    code, lines, err = finish(start("--config=configs/sample.py", f"--config.model={tmp_path}", "--config.problems=x"))
    assert time.monotonic() - begun < 60
    assert (code, err) == (1, ["error: 1 of 4 checks failed: config"])
    assert lines["config"] == "failed  config        no answer within 10 s"


def test_two_agree(data, tmp_path):
    (code, lines, err), (other_code, other_lines, other_err) = two(*[training(data, tmp_path)] * 2)
    assert (code, other_code, other_lines, err, other_err) == (0, 0, {}, [], [])
    assert "2 processes" in lines["processes"]
    assert "4 × cpu, 2 × cpu per process" in lines["devices"]
    assert "4 devices add 4 MiB rightly" in lines["collective"]
    assert "all 2 processes see each other's files" in lines["shared"]
    assert "2 processes within" in lines["clocks"]
    assert "the same for all 2 processes" in lines["inputs"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_with_other_data_in_a_relative_folder(data, tmp_path):
    """As two hosts with disks of their own, mounted under one name."""
    here = [tmp_path / name for name in ("a", "b")]
    for folder in here:
        folder.mkdir()
        shutil.copy(data, folder / "data.jsonl")
    (here[1] / "data.jsonl").write_text(data.read_text().replace("1", "2"))
    program = "import os, runpy, sys; os.chdir(sys.argv.pop(1)); runpy.run_path(sys.argv[0], run_name='__main__')"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    arguments = [f"--config={ROOT / 'configs/sft.py'}", f"--config.model={MODEL}", "--config.data=data.jsonl"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.argv[0] = {str(ROOT / 'launch/doctor.py')!r}; {program}", folder,
             *arguments, "--workdir=out"], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | {
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(number),
                "RFT_JAX_MEET_S": "60",
                "PYTHONPATH": str(ROOT), "XLA_FLAGS": xla_flags(1),
            },
        )
        for number, folder in enumerate(here)
    ]  # fmt: skip
    (code, lines, err), (other_code, _, _) = [finish(process) for process in processes]
    assert (code, other_code) == (1, 1)
    assert err == ["error: 2 of 10 checks failed: shared, inputs"]
    assert lines["shared"].startswith("failed")
    assert "process 1 on " in lines["shared"]
    assert "data data.jsonl has other contents than on process 0" in lines["inputs"]
    assert [sorted(file.name for file in folder.iterdir()) for folder in here] == [["data.jsonl"]] * 2


@pytest.mark.parametrize("other", ["--config.batch=64", "no config"])
def test_two_with_other_settings(data, tmp_path, other):
    ours = training(data, tmp_path)
    theirs = ours[-1:] if other == "no config" else (*ours, other)
    (code, lines, err), (other_code, _, other_err) = two(ours, theirs)
    assert (code, other_code) == (1, 1)
    told = "config.batch than process 0: 64, not 128" if "batch" in other else "--config than process 0: none: what "
    assert f"another {told}" in lines["config"]
    assert len(err) == 1
    assert len(other_err) <= 1


def test_overrides_without_a_config():
    code, _, err = finish(start("--config.batch=64"))
    assert code == 2
    assert err == ["error: --config.batch without --config=FILE[:ARGUMENT]"]
