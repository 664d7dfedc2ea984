"""A folder of a bucket has one writer; a dead one's lease is taken over, and whoever lost his stops."""

import concurrent.futures
import json
import threading
import time
from collections.abc import Iterator

import pytest

from rft_jax.errors import UserError
from rft_jax.remote import lease
from tests.remote.gcs_server import GcsServer

FOLDER = "gs://bucket/a/run"
KEY = f"a/run/{lease.NAME}"


@pytest.fixture(scope="module")
def started() -> Iterator[GcsServer]:
    server = GcsServer("bucket")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSORSTORE_GCS_HTTP_URL", server.url)
        yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(started: GcsServer, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "DEAD_S", 60.0)  # nobody lives so long here
    monkeypatch.setattr(lease, "_LOOK_S", 0.1)
    started.buckets["bucket"].clear()
    return started


@pytest.fixture
def soon(server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is dead is known to be soon."""
    monkeypatch.setattr(lease, "DEAD_S", 0.3)


def there(server: GcsServer) -> dict[str, object]:
    fields: dict[str, object] = json.loads(server.buckets["bucket"][KEY][0])
    return fields


def test_the_second_is_told_who_writes(server: GcsServer) -> None:
    with lease.held(FOLDER) as held:
        first = there(server)
        refused = pytest.raises(UserError, match=rf"{FOLDER} is being written by process \d+ on .*; wait until")
        with refused, lease.held(FOLDER):
            raise AssertionError("both have it")
        held.require()
        assert there(server)["token"] == first["token"]
    assert not server.buckets["bucket"]
    with lease.held(FOLDER), lease.held(f"{FOLDER}2"):
        assert len(server.buckets["bucket"]) == 2


@pytest.mark.usefixtures("soon")
def test_a_dead_one_s_is_taken_over(server: GcsServer) -> None:
    server.put("bucket", KEY, json.dumps({"holder": "process 1 on moon: train", "token": "x"}).encode())
    begun = time.monotonic()
    with lease.held(FOLDER):
        assert time.monotonic() - begun >= lease.DEAD_S
        assert there(server)["token"] != "x"
    assert not server.buckets["bucket"]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_whatever_is_in_it(server: GcsServer, content: bytes) -> None:
    server.put("bucket", KEY, content)
    with lease.held(FOLDER):
        assert there(server)["token"]


def test_one_given_back_meanwhile_is_free_at_once(server: GcsServer) -> None:
    server.put("bucket", KEY, b"{}")
    threading.Timer(0.5, server.buckets["bucket"].clear).start()
    begun = time.monotonic()
    with lease.held(FOLDER):
        assert time.monotonic() - begun < 30


def test_whoever_lost_it_stops(server: GcsServer) -> None:
    with lease.held(FOLDER) as held:
        server.put("bucket", KEY, json.dumps({"holder": "process 7 on moon: train", "token": "y"}).encode())
        with pytest.raises(UserError, match="was taken over by process 7 on moon: train, as nothing was heard"):
            held.require()
    assert there(server)["token"] == "y"


def test_one_whose_answer_was_lost_is_still_held(server: GcsServer) -> None:
    with lease.held(FOLDER) as held:
        server.put("bucket", KEY, json.dumps({**there(server), "renewed": 99}).encode())
        held.require()
        held.require()
    assert not server.buckets["bucket"]


@pytest.mark.usefixtures("soon")
def test_of_many_that_come_at_once_one_gets_it(server: GcsServer) -> None:
    server.put("bucket", KEY, b"{}")  # a dead one's, for all of them
    decided = threading.Barrier(6)

    def try_it(_: int) -> bool:
        try:
            with lease.held(FOLDER):
                decided.wait(60)
                return True
        except UserError:
            decided.wait(60)
            return False

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(try_it, range(6))) == 1


def test_no_such_bucket_is_one_line(server: GcsServer) -> None:
    with pytest.raises(UserError, match=r"cannot use gs://nobucket/a: NOT_FOUND: .*"), lease.held("gs://nobucket/a"):
        raise AssertionError


def test_no_access_is_one_line(server: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "refused", True)
    with pytest.raises(UserError, match=rf"cannot use {FOLDER}: no access .*: log in by `gcloud"), lease.held(FOLDER):
        raise AssertionError
