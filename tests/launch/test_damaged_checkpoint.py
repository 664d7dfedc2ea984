"""Two processes find the same damage in a checkpoint, and go on together from the step before or stop together."""

import shutil
from pathlib import Path

import pytest

from tests.devices import xla_flags
from tests.launch.test_train import assert_near, command, finish, free_port, start, unkilled, weights  # noqa: F401
from tests.train.conftest import data, model_folder  # noqa: F401


def flip(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def run_two(arguments: list[str]) -> list[tuple[int, str]]:
    together = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
        "XLA_FLAGS": xla_flags(4),
    }
    processes = [start(arguments, **together, JAX_PROCESS_ID=str(number)) for number in range(2)]
    return [finish(process) for process in processes]


@pytest.mark.slow
def test_two_processes_fall_back_together(unkilled, model_folder, data, tmp_path):  # noqa: F811
    workdir = shutil.copytree(unkilled, tmp_path / "run")
    shutil.rmtree(workdir / "model")
    steps = workdir / "checkpoints"
    arguments = command(model_folder, data, workdir)
    # Neighbours in the manifest, so that each process finds another one.
    for file in sorted(path for path in (steps / "10" / "state").glob("**/*") if path.is_file())[:2]:
        flip(file)
    for code, errors in run_two(arguments):
        assert code == 0, errors
        assert "going on from step 9" in errors
    assert_near(weights(workdir), weights(unkilled))
    assert sorted(path.name for path in steps.iterdir()) == ["10", "10.damaged", "9"]

    for step in ("9", "10"):
        flip(next((steps / step / "state" / "d").iterdir()))
    ended = run_two(arguments)
    assert [code for code, _ in ended] == [1, 1]
    told = [line for _, errors in ended for line in errors.splitlines() if line.startswith("error: ")]
    assert 1 <= len(told) <= 2  # an error of all is told by process 0, or by each
    assert all("state/d/" in line for line in told)
    assert not any("Traceback" in errors for _, errors in ended)
