"""What several workers of one evaluation leave: one result, whoever comes last."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.evaluate import outcome
from rft_jax.one_writer import one_writer

METRICS = {"name": "m", "count": 2, "graders": {"reference": {"maj1@1": {"mean": 0.5}}}, "against": ("x",)}
LINES = [b'{"problem": 0}\n', b'{"problem": 1}\n']
WORKER = """
import sys
from pathlib import Path
from tests.evaluate.test_outcome import LINES, METRICS
from rft_jax.evaluate import outcome
print("ready", flush=True)
sys.stdin.readline()
outcome.write(Path(sys.argv[1]), METRICS | {"made_by": {"devices": sys.argv[2]}}, LINES)
"""


def stamps(folder):
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.iterdir()}


def test_whoever_comes_later_with_the_same_leaves_it(tmp_path):
    outcome.write(tmp_path, METRICS | {"made_by": 1}, LINES)
    before = stamps(tmp_path)
    assert sorted(before) == [outcome.METRICS, outcome.RESULTS]
    outcome.write(tmp_path, METRICS | {"made_by": 2}, LINES)
    assert stamps(tmp_path) == before


@pytest.mark.parametrize("change", ["metrics", "results", "damage"])
def test_another_result_replaces_both(tmp_path, change):
    outcome.write(tmp_path, METRICS, LINES)
    if change == "damage":
        (tmp_path / outcome.METRICS).write_text("{")
    metrics = METRICS | ({"count": 3} if change == "metrics" else {})
    lines = LINES[:1] if change == "results" else LINES
    outcome.write(tmp_path, metrics, lines)
    assert json.loads((tmp_path / outcome.METRICS).read_text())["count"] == metrics["count"]
    assert (tmp_path / outcome.RESULTS).read_bytes() == b"".join(lines)


def test_metrics_never_lie_beside_others_results(tmp_path, monkeypatch):
    outcome.write(tmp_path, METRICS, LINES)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(outcome, "write_lines", killed)
    with pytest.raises(KeyboardInterrupt):
        outcome.write(tmp_path, METRICS, LINES[:1])
    with pytest.raises(UserError, match="holds no finished evaluation"):
        outcome.read_evaluation(tmp_path, "reference")


def test_it_waits_for_another_and_then_says_who_writes(tmp_path, monkeypatch):
    lock = tmp_path / f".{outcome.METRICS}.writer"
    with one_writer(tmp_path, lock):
        monkeypatch.setattr(outcome, "_WAIT_S", 0.3)
        with pytest.raises(UserError, match="is being written by process"):
            outcome.write(tmp_path, METRICS, LINES)
        monkeypatch.setattr(outcome, "_WAIT_S", 20.0)
        waits = threading.Thread(target=outcome.write, args=(tmp_path, METRICS, LINES))
        waits.start()
        time.sleep(0.5)
        assert not (tmp_path / outcome.METRICS).exists()
    waits.join(10)
    assert (tmp_path / outcome.METRICS).exists()


def test_workers_that_end_at_once(tmp_path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(number)], cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 4
    ended = []
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        ended.append((worker.returncode, errors))
    assert ended == [(0, "")] * 4
    assert sorted(file.name for file in tmp_path.iterdir()) == [outcome.METRICS, outcome.RESULTS]
    assert (tmp_path / outcome.RESULTS).read_bytes() == b"".join(LINES)
