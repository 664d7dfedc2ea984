"""Data sets by name are downloaded once, and read from the cache without a network; half a split is never the split."""

import gzip
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
import zstandard
from huggingface_hub import constants
from pyarrow import parquet

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem, read_problems

ROWS = [{"question": f"q{number}", "answer": f"#### {number}"} for number in range(3)]
COMMIT = "0" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.fixture
def snapshot(cache: Path) -> Path:
    """An empty copy of a data set in the cache, as huggingface_hub lays it out."""
    repository = cache / "datasets--some--maths"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def write(file: Path, rows: list[dict[str, str]]) -> None:
    """Writes rows in the format that a file's name tells."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        return
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    data = (json.dumps(rows, indent=2) if ".json" in file.suffixes else lines).encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(file.suffix, bytes)
    file.write_bytes(pack(data))


def questions(name: str) -> list[str]:
    return [problem.question for problem in read_problems(name)]


LAYOUTS = {
    "main/train-00000-of-00001.parquet": "main",
    "main/train-00000-of-00001-a09b74b3ef9c3b56.parquet": "main",
    "main/train.jsonl": "main",
    "main/train.jsonl.gz": "main",
    "main/train.jsonl.zst": "main",
    "main/train.json": "main",
    "data/main/train.parquet": "main",
    "data/train-00000-of-00001.parquet": "default",
    "data/train.json": "default",
    "default/train.jsonl": "default",
    "train.jsonl": "default",
    "train.jsonl.gz": "default",
    "train.json.gz": "default",
    "train.parquet": "default",
}


@pytest.mark.parametrize("file", LAYOUTS)
def test_layouts(snapshot: Path, file: str) -> None:
    folder, _, name = file.rpartition("/")
    write(snapshot / folder / name.replace("train", "test"), ROWS[:1])
    write(snapshot / "other" / name, ROWS[:2])
    write(snapshot / file, ROWS)
    source = f"hf:some/maths:{LAYOUTS[file]}:train"
    assert read_problems(source) == [Problem(row["question"], row["answer"]) for row in ROWS]


def test_shards_are_read_in_order(snapshot: Path) -> None:
    for number, rows in enumerate([ROWS[:2], ROWS[2:]]):
        write(snapshot / "main" / f"train-0000{number}-of-00002.parquet", rows)
    assert questions("hf:some/maths:main:train") == ["q0", "q1", "q2"]


def test_a_wrong_row_is_told_by_its_number_in_the_data_set(snapshot: Path) -> None:
    write(snapshot / "main" / "train-00000-of-00002.parquet", ROWS[:2])
    write(snapshot / "main" / "train-00001-of-00002.parquet", [{"question": "q"}])
    with pytest.raises(UserError, match=r'^hf:some/maths:main:train, row 3: the field "answer" is missing'):
        read_problems("hf:some/maths:main:train")


@pytest.mark.parametrize(
    "file",
    [
        "main/train-00000-of-00002.parquet",
        "main/train-00001-of-00002.jsonl",
        "main/train-00000-of-00002-a09b74b3ef9c3b56.parquet",
        "main/train/0000.parquet",  # of how many, the names do not say
    ],
)
def test_a_missing_shard_is_not_a_smaller_data_set(snapshot: Path, file: str) -> None:
    write(snapshot / file, ROWS[:2])
    with pytest.raises(UserError) as error:
        read_problems("hf:some/maths:main:train")
    assert str(error.value) == (
        "hf:some/maths:main:train is not in the cache as a whole, and HF_HUB_OFFLINE is set: unset it to download; "
        f"of its files the cache has {file}"
    )


def test_a_file_whose_data_are_gone_is_missing(snapshot: Path) -> None:
    (snapshot / "main").mkdir()
    (snapshot / "main" / "train.jsonl").symlink_to(snapshot / "blobs" / "gone")
    with pytest.raises(UserError, match="is not in the cache as a whole"):
        read_problems("hf:some/maths:main:train")


def test_another_split_in_the_cache_is_told(snapshot: Path) -> None:
    write(snapshot / "main" / "test.jsonl", ROWS)
    write(snapshot / "data" / "train-00000-of-00001.parquet", ROWS)
    (snapshot / "README.md").write_text("---\n")
    with pytest.raises(UserError) as error:
        read_problems("hf:some/maths:main:train")
    assert str(error.value) == (
        "hf:some/maths:main:train is not in the cache as a whole, and HF_HUB_OFFLINE is set: unset it to download; "
        "the cache has data: train; default: train; main: test"
    )


def test_not_in_the_cache_and_no_network(snapshot: Path) -> None:
    with pytest.raises(UserError, match=r"^hf:other/maths:main:train is not in the cache .* HF_HUB_OFFLINE is set"):
        read_problems("hf:other/maths:main:train")


@pytest.mark.parametrize("name", ["hf:gsm8k", "hf:gsm8k:main:train", "hf:a/b:main", "hf:a/b::train", "hf:a/b:m:t:x"])
def test_a_malformed_name_shows_the_form(name: str) -> None:
    with pytest.raises(UserError, match="the form is hf:OWNER/NAME:CONFIG:SPLIT"):
        read_problems(name)


class Hub:
    """As much of the hub as a download asks for; it serves the files of a folder as the data set `some/maths`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(*hub.answer(self.path))

            def do_HEAD(self) -> None:
                self.reply(*hub.answer(self.path))

            def reply(self, status: int, data: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                if status != 200:
                    self.send_header("X-Error-Code", "RepoNotFound")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def answer(self, address: str) -> tuple[int, bytes]:
        path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
        files = sorted(file.relative_to(self.folder).as_posix() for file in self.folder.rglob("*") if file.is_file())
        if path.startswith("/datasets/some/maths/resolve/"):
            name = path.split("/", 6)[6]
            self.fetched.append(name)
            return 200, (self.folder / name).read_bytes()
        if path.startswith("/api/datasets/some/maths/tree/"):
            sizes = [(file, (self.folder / file).stat().st_size) for file in files]
            return 200, json.dumps(
                [{"type": "file", "path": file, "size": size, "oid": COMMIT} for file, size in sizes]
            ).encode()
        if path.startswith("/api/datasets/some/maths"):
            siblings = [{"rfilename": file} for file in files]
            return 200, json.dumps({"id": "some/maths", "sha": COMMIT, "siblings": siblings}).encode()
        return 404, b"{}"


@pytest.fixture
def hub(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(tmp_path / "hub")
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{hub.server.server_port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with hub.server:
        yield hub
        hub.server.shutdown()
        thread.join()


def test_a_download_fetches_the_split_alone_and_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    write(hub.folder / "main" / "train-00000-of-00002.parquet", ROWS[:2])
    write(hub.folder / "main" / "train-00001-of-00002.parquet", ROWS[2:])
    write(hub.folder / "main" / "test.jsonl", ROWS[:1])
    write(hub.folder / "other" / "main" / "train.jsonl", ROWS[:1])
    assert questions("hf:some/maths:main:train") == ["q0", "q1", "q2"]
    assert set(hub.fetched) == {f"main/train-0000{number}-of-00002.parquet" for number in range(2)}
    hub.fetched.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert questions("hf:some/maths:main:train") == ["q0", "q1", "q2"]
    assert hub.fetched == []


def test_a_download_completes_what_the_cache_has(hub: Hub, snapshot: Path) -> None:
    for folder in (hub.folder, snapshot):
        write(folder / "main" / "train-00000-of-00002.parquet", ROWS[:2])
    write(hub.folder / "main" / "train-00001-of-00002.parquet", ROWS[2:])
    assert questions("hf:some/maths:main:train") == ["q0", "q1", "q2"]


def test_odd_names_are_no_patterns(hub: Hub) -> None:
    write(hub.folder / "a[bc]" / "train.jsonl", ROWS)
    write(hub.folder / "ab" / "train.jsonl", ROWS[:1])
    assert questions("hf:some/maths:a[bc]:train") == ["q0", "q1", "q2"]


def test_what_the_hub_has_is_told(hub: Hub) -> None:
    write(hub.folder / "main" / "train-00000-of-00001.parquet", ROWS)
    write(hub.folder / "main" / "test.jsonl", ROWS)
    write(hub.folder / "validation.json", ROWS)
    for configuration, split in (("main", "dev"), ("mian", "train"), ("default", "train")):
        with pytest.raises(UserError) as error:
            read_problems(f"hf:some/maths:{configuration}:{split}")
        assert str(error.value) == (
            f"hf:some/maths:{configuration}:{split}: the data set has no such configuration and split; it has "
            "default: validation; main: test, train"
        )


def test_a_data_set_without_our_formats_is_told(hub: Hub) -> None:
    write(hub.folder / "train.csv", ROWS)
    with pytest.raises(UserError, match=r"it has no file that is called like a split: train\.csv$"):
        read_problems("hf:some/maths:default:train")


def test_shards_that_the_hub_lacks_are_told(hub: Hub) -> None:
    write(hub.folder / "main" / "train-00000-of-00002.parquet", ROWS)
    with pytest.raises(UserError, match="shards of the split are missing on the hub"):
        read_problems("hf:some/maths:main:train")


def test_an_unknown_data_set_is_told(hub: Hub) -> None:
    with pytest.raises(UserError, match="is not in the cache as a whole, and the hub shows no such data set"):
        read_problems("hf:no/such:main:train")


def test_a_hub_that_does_not_answer_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UserError, match="is not in the cache as a whole, and the hub does not answer: "):
        read_problems("hf:some/maths:main:train")
