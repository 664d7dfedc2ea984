"""The benchmark of selection in parts comes to its end, on little data."""

import pytest

from rft_jax.benchmark import select_parts


def test_reports_rates_and_a_reckoning(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_PROBLEMS": 32, "_SHARDS": 100, "_COPIED": 1 << 20}.items():
        monkeypatch.setattr(select_parts, name, value)
    measured, *_, merge = select_parts.run()
    assert measured.startswith("measured, one processor, per path: to grade ")
    assert merge.startswith("  merge: ")
