"""Data sets by name are read from the cache without a network."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem, read_problems

ROWS = [{"question": f"q{number}", "answer": f"#### {number}"} for number in range(3)]


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty copy of a data set in the cache, as huggingface_hub lays it out."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "datasets--some--maths"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    folder = repository / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    return folder


def test_json_lines(snapshot: Path) -> None:
    (snapshot / "main").mkdir()
    (snapshot / "main" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert read_problems("hf:some/maths:main:train") == [Problem(row["question"], row["answer"]) for row in ROWS]


def test_parquet_in_shards(snapshot: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    (snapshot / "main").mkdir()
    for number, rows in enumerate([ROWS[:2], ROWS[2:]]):
        parquet.write_table(pyarrow.Table.from_pylist(rows), snapshot / "main" / f"train-0000{number}-of-00002.parquet")
    assert [problem.question for problem in read_problems("hf:some/maths:main:train")] == ["q0", "q1", "q2"]


def test_a_missing_shard_is_not_a_smaller_data_set(snapshot: Path) -> None:
    (snapshot / "main").mkdir()
    (snapshot / "main" / "train-00000-of-00002.parquet").touch()
    with pytest.raises(UserError, match=r"cannot fetch the data set some/maths|no file for"):
        read_problems("hf:some/maths:main:train")


def test_not_in_the_cache_and_no_network(snapshot: Path) -> None:
    with pytest.raises(UserError, match="cannot fetch the data set other/maths, and it is not in the cache"):
        read_problems("hf:other/maths:main:train")


@pytest.mark.parametrize("name", ["hf:gsm8k", "hf:gsm8k:main:train", "hf:a/b:main", "hf:a/b::train", "hf:a/b:m:t:x"])
def test_a_malformed_name_shows_the_form(name: str) -> None:
    with pytest.raises(UserError, match="the form is hf:OWNER/NAME:CONFIG:SPLIT"):
        read_problems(name)
