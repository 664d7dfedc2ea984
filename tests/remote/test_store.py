"""Every way in which a bucket cannot be used is one line, in a limited time; and what a real S3 server answers."""

import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.remote import cache, store
from rft_jax.remote.outgoing import outgoing
from tests.remote.fixtures import forget
from tests.remote.gcs_server import GcsServer

WHY_S3 = "s3fs is an extra (pip install 'rft-jax[s3]')"
WHY_GCS = "gcsfs is an extra (pip install 'rft-jax[gcs]')"
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.fixture(autouse=True)
def _new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    forget()
    yield
    forget()


@pytest.fixture
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CREDENTIALS, "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.parametrize(("scheme", "module", "extra"), [("gs", "gcsfs", "gcs"), ("s3", "s3fs", "s3")])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"{scheme}://b/x: .* not installed: pip install 'rft-jax\[{extra}\]'"):
        cache.file(f"{scheme}://b/x")


def test_no_answer_is_told_in_time(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def info(self, _: str) -> None:
            time.sleep(5)

    monkeypatch.setattr(store, "REACH_S", 0.1)
    monkeypatch.setattr(store, "_system", lambda *_: Silent())
    start = time.monotonic()
    with pytest.raises(UserError, match="s3://b/x: no answer within 0 s; is the network there"):
        cache.file("s3://b/x")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError("Forbidden"), r"no access \(Forbidden\): log in by `aws configure`"),
        (RuntimeError("Unable to locate credentials\nat all"), r"no access \(Unable to locate credentials\): log in"),
        (ConnectionError("reset by peer"), "reset by peer; is the network there"),
    ],
)
def test_errors_are_one_line(bucket: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str) -> None:
    class Broken:
        def info(self, _: str) -> None:
            raise error

    monkeypatch.setattr(store, "_system", lambda *_: Broken())
    with pytest.raises(UserError, match=f"cannot use s3://b/x: {line}") as told:
        cache.file("s3://b/x")
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("no_credentials")
def test_s3_without_credentials() -> None:
    pytest.importorskip("s3fs", reason=WHY_S3)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"cannot use s3://b/x: no access \(.*\): log in by `aws configure`"):
        cache.file("s3://b/x")
    assert time.monotonic() - start < store.REACH_S


@pytest.fixture
def refusing_server() -> Iterator[str]:
    """A server that answers as Google's does to somebody unknown."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            message = "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object."
            body = json.dumps({"error": {"code": 401, "message": message}}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore")  # gcsfs's and aiohttp's own
@pytest.mark.usefixtures("no_credentials")
def test_gs_without_credentials(refusing_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gcsfs", reason=WHY_GCS)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", refusing_server)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"cannot use gs://b/x: no access \(Anonymous caller .*\): log in by `gcloud"):
        cache.file("gs://b/x")
    assert time.monotonic() - start < store.REACH_S


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of its own, with an empty bucket; returns that's name."""
    pytest.importorskip("s3fs", reason=WHY_S3)
    server_module = pytest.importorskip("moto.server", reason="the server is heavy: pip install 'moto[server]'")
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in CREDENTIALS[:2]:
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="bucket")
    yield "bucket"
    server.stop()


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stand-in for Google's server, with an empty bucket."""
    pytest.importorskip("gcsfs", reason=WHY_GCS)
    server = GcsServer("bucket")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    yield "bucket"
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore")  # the servers' and the libraries' own
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_real_library(scheme: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = f"{scheme}://{request.getfixturevalue(scheme)}"
    (tmp_path / "big").write_bytes(b"0123456789" * 1_000_000)
    for place in ("run/10.jsonl", "run/2.jsonl", "run/sub/a.jsonl", "run/a[1].jsonl"):
        store.upload(tmp_path / "big", f"{root}/{place}")
    found = store.matches(f"{root}/run/*.jsonl")
    assert [each.name for each in found] == [f"{root}/run/{n}.jsonl" for n in ("10", "2", "a[1]")]
    assert {each.size for each in found} == {10_000_000}
    assert all(each.version for each in found)
    assert store.find(f"{root}/run/2.jsonl") == found[1]
    assert store.find(f"{root}/run/a[1].jsonl") == found[2]
    assert store.find(f"{root}/run") is None
    assert len(store.below(f"{root}/run")) == 4
    with pytest.raises(UserError, match=r"run/2\.jsonl is a file, and a folder is meant"):
        store.below(f"{root}/run/2.jsonl")
    assert store.inside(f"{root}/run") == found
    assert cache.file(f"{root}/run/2.jsonl").read_bytes() == (tmp_path / "big").read_bytes()
    (tmp_path / "big").write_text("other")
    store.upload(tmp_path / "big", f"{root}/run/2.jsonl")
    forget()
    assert cache.file(f"{root}/run/2.jsonl").read_text() == "other"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_real_library_s_refusals(scheme: str, request: pytest.FixtureRequest) -> None:
    root = f"{scheme}://{request.getfixturevalue(scheme)}"
    with pytest.raises(UserError, match=f"no such file: {root}/none"):
        cache.file(f"{root}/none")
    with (
        pytest.raises(UserError, match=f"{scheme}://nobucket/x: there is no bucket {scheme}://nobucket"),
        outgoing(f"{scheme}://nobucket/x", last=bool),
    ):
        raise AssertionError("told too late")
