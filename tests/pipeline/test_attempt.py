"""The record of a stage while it runs: seconds count however it ends, and workers share one record."""

import threading
import time

import pytest

from rft_jax.pipeline import attempt
from rft_jax.pipeline.attempt import Attempt, alone
from rft_jax.pipeline.stage import Record, Stage


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Returns a function that begins an attempt at a stage whose output is `sum`."""
    monkeypatch.setattr(attempt, "TICK_S", 0.05)
    folder = tmp_path / "a"
    folder.mkdir()
    stage = Stage(
        name="a", kind="add", script="add.py", flags=("--add=1",), reads={}, after=(), locations={}, output=("sum",)
    )
    return lambda: Attempt(stage, folder, ["python", "add.py"])


def test_seconds_count_before_the_end(begin, tmp_path):
    with begin():
        time.sleep(0.4)
        assert 0.2 < Record.read(tmp_path / "a").seconds < 5  # all that a kill would leave
    first = Record.read(tmp_path / "a")
    assert not first.done
    time.sleep(0.4)  # nobody is at work
    with begin() as second:
        (tmp_path / "a" / "sum").write_text("1")
        assert second.complete()
        second.finish()
    last = Record.read(tmp_path / "a")
    assert last.done
    assert last.fault(tmp_path / "a") is None
    assert first.seconds <= last.seconds < first.seconds + 0.3


def test_time_in_which_several_worked_counts_once(begin, tmp_path):
    started = time.time()
    with begin(), begin(), begin():
        time.sleep(0.5)
    assert 0.5 <= Record.read(tmp_path / "a").seconds <= time.time() - started


def test_who_fails_does_not_undo_who_succeeds(begin, tmp_path):
    """And the record is of what is there when the last one has written it."""
    with begin(), begin() as slower:
        with begin() as faster:
            (tmp_path / "a" / "sum").write_text("1")
            faster.finish()
        assert Record.read(tmp_path / "a").done
        (tmp_path / "a" / "sum").write_text("2")
        slower.finish()
    record = Record.read(tmp_path / "a")
    assert record.done
    assert record.fault(tmp_path / "a") is None


def test_one_decides_at_a_time(tmp_path):
    order = []

    def second():
        with alone(tmp_path / "a"):
            order.append("second")

    with alone(tmp_path / "a"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
