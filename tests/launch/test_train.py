"""launch/train.py and launch/convert.py as real processes: killed, interrupted, several at once."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import numpy as safetensors

from tests.devices import xla_flags
from tests.train.conftest import data, model_folder  # noqa: F401

ROOT = Path(__file__).parents[2]


def command(model: Path, file: Path, workdir: Path, **changes: object) -> list[str]:
    settings = {
        "model": model, "data": file, "batch": 16, "row_length": 128, "max_length": 128, "epochs": 4,
        "learning_rate": 1e-3, "save_every": 3, "remat": "none", **changes,
    }  # fmt: skip
    overrides = [f"--config.{name}={value}" for name, value in settings.items()]
    return [sys.executable, "launch/train.py", "--config=configs/sft.py", f"--workdir={workdir}", *overrides]


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
    _, errors = process.communicate(timeout=seconds)
    return process.returncode, errors


def run(arguments: list[str], **environment: str) -> tuple[int, str]:
    return finish(start(arguments, **environment))


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 200) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, f"ended before: {process.communicate()[1]}"
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.0005)


def steps_done(workdir: Path) -> int:
    path = workdir / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


@pytest.fixture(scope="module")
def unkilled(model_folder, data, tmp_path_factory) -> Path:  # noqa: F811
    workdir = tmp_path_factory.mktemp("runs") / "unkilled"
    code, errors = run(command(model_folder, data, workdir))
    assert code == 0, errors
    return workdir


def weights(workdir: Path) -> dict[str, np.ndarray]:
    return safetensors.load_file(workdir / "model" / "model.safetensors")


def assert_near(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_killed_at_any_moment_the_model_is_bitwise_the_same(unkilled, model_folder, data, tmp_path):  # noqa: F811
    arguments = command(model_folder, data, tmp_path)
    moments = {
        "during the first steps": lambda: steps_done(tmp_path) >= 2,
        "during a save": lambda: bool(list(tmp_path.glob("checkpoints/*.orbax-checkpoint-tmp*"))),
        "during later steps": lambda: steps_done(tmp_path) >= 7,
        "during the export": lambda: bool(list(tmp_path.glob(".model.*.partial"))),
    }
    for moment, holds in moments.items():
        process = start(arguments)
        wait_until(holds, process)
        process.kill()
        code, errors = finish(process)
        assert code == -signal.SIGKILL, f"{moment}: {errors}"
        assert not (tmp_path / "model").exists(), moment
    assert run(arguments)[0] == 0
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == (
        unkilled / "model" / "model.safetensors"
    ).read_bytes()
    told = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert told == list(range(1, 11))
    assert not list(tmp_path.glob(".*partial*"))
    assert not list(tmp_path.glob("checkpoints/*tmp*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_and_tells_how_to_go_on(model_folder, data, tmp_path, number):  # noqa: F811
    arguments = command(model_folder, data, tmp_path, epochs=4000, save_every=10**6)
    process = start(arguments)
    wait_until(lambda: steps_done(tmp_path) >= 3, process)
    process.send_signal(number)
    code, errors = finish(process)
    assert code == 130, errors
    last = errors.splitlines()[-1]
    saved = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert saved == [str(steps_done(tmp_path))]
    assert f"stopped after step {saved[0]} of 10000, saved; to continue: python launch/train.py" in last
    assert f"--workdir={tmp_path}" in last
    assert "Traceback" not in errors


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def train_together(arguments: list[str], count: int) -> None:
    together = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": str(count),
        "XLA_FLAGS": xla_flags(8 // count),
    }
    processes = [start(arguments, **together, JAX_PROCESS_ID=str(number)) for number in range(count)]
    for process in processes:
        code, errors = finish(process)
        assert code == 0, errors


def losses(workdir: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_are_as_one(unkilled, model_folder, data, tmp_path, count):  # noqa: F811
    """With 8 devices in all, as one has; then one process exports, and goes on from, what they have saved."""
    arguments = command(model_folder, data, tmp_path)
    train_together(arguments, count)
    np.testing.assert_allclose(losses(tmp_path), losses(unkilled), rtol=1e-6)
    assert_near(weights(tmp_path), weights(unkilled))
    assert steps_done(tmp_path) == 10

    train_together(command(model_folder, data, tmp_path / "again"), count)
    exported = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert (tmp_path / "again" / "model" / "model.safetensors").read_bytes() == exported
    checkpoint, converted = tmp_path / "checkpoints" / "10", tmp_path / "converted"
    convert = ["launch/convert.py", f"--checkpoint={checkpoint}", f"--output={converted}", "--dtype=float32"]
    assert run([sys.executable, *convert])[0] == 0
    assert (converted / "model.safetensors").read_bytes() == exported

    checkpoint.rename(tmp_path / "elsewhere")
    (tmp_path / "model").rename(tmp_path / "model of several")
    assert run(arguments)[0] == 0
    assert_near(weights(tmp_path), weights(unkilled))


@pytest.mark.slow
@pytest.mark.parametrize("what", ["learning_rate", "seed", "data", "model", "workdir"])
def test_processes_that_disagree_export_nothing(model_folder, data, tmp_path, what):  # noqa: F811
    other_data = tmp_path / "others.jsonl"
    other_data.write_text("".join(reversed(data.read_text().splitlines(keepends=True))))
    other_model = shutil.copytree(model_folder, tmp_path / "model")
    tensors = safetensors.load_file(other_model / "model.safetensors")
    safetensors.save_file(
        {name: tensor * (1 + 1e-3) for name, tensor in tensors.items()},
        other_model / "model.safetensors",
        {"format": "pt"},
    )
    changed = {"learning_rate": 2e-3, "seed": 1, "data": other_data, "model": other_model, "workdir": tmp_path / "b"}
    commands = [
        command(model_folder, data, tmp_path / "a"),
        command(**{"model": model_folder, "file": data, "workdir": tmp_path / "a"} | {
            {"data": "file"}.get(what, what): changed[what]
        }),
    ]  # fmt: skip
    together = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
        "XLA_FLAGS": xla_flags(4),
    }
    processes = [start(each, **together, JAX_PROCESS_ID=str(number)) for number, each in enumerate(commands)]
    ended = [finish(process) for process in processes]
    assert [code for code, _ in ended] == [1, 1]
    told = [line for _, errors in ended for line in errors.splitlines() if line.startswith("error: ")]
    assert 1 <= len(told) <= 2
    expected = (
        "give a folder that all hosts share" if what == "workdir" else f"process 1 has another config.{what} than"
    )
    assert all(expected in line for line in told)
    assert not any("Traceback" in errors for _, errors in ended)
    assert not list(tmp_path.glob("?/model"))
    assert not list(tmp_path.glob("?/checkpoints/*"))


@pytest.mark.slow
def test_two_trainings_in_one_folder(model_folder, data, tmp_path):  # noqa: F811
    arguments = command(model_folder, data, tmp_path, epochs=4000, save_every=10**6)
    first = start(arguments)
    wait_until(lambda: steps_done(tmp_path) >= 3, first)
    code, errors = run(arguments)
    assert code == 1
    assert f"error: {tmp_path} is being written by process {first.pid} on " in errors.splitlines()[-1]
    done = steps_done(tmp_path)
    wait_until(lambda: steps_done(tmp_path) > done, first)
    first.kill()
    finish(first)


@pytest.mark.slow
def test_convert_and_bad_input_as_commands(unkilled, tmp_path):
    steps = unkilled / "checkpoints"
    convert = [sys.executable, "launch/convert.py", f"--output={tmp_path / 'model'}", "--dtype=float32"]
    assert run([*convert, f"--checkpoint={steps / '10'}"])[0] == 0
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == (
        unkilled / "model" / "model.safetensors"
    ).read_bytes()
    code, errors = run([*convert, f"--checkpoint={steps}"])
    assert code == 1
    assert errors.strip().startswith("error: ")
    assert "\n" not in errors.strip()
    code, errors = run([sys.executable, "launch/train.py", "--workdir=x", "--config.lerning_rate=1"])
    assert code == 2
    assert "did you mean 'learning_rate'" in errors
