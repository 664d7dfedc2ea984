"""Which part of the work a process of a job array takes."""

import pytest

from rft_jax.errors import UserError
from rft_jax.sample.settings import share


@pytest.fixture(autouse=True)
def no_job_array(monkeypatch):
    for name in ("ID", "MIN", "COUNT", "STEP"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)


def array(monkeypatch, number, first, count, step=None):
    for name, value in (("ID", number), ("MIN", first), ("COUNT", count), ("STEP", step)):
        if value is not None:
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    return share(0, None)


def test_shares(monkeypatch):
    assert share(0, None) == (0, 1)
    assert share(2, 5) == (2, 5)
    assert array(monkeypatch, 4, 3, 2) == (1, 2)
    assert array(monkeypatch, 10, 0, 6, step=2) == (5, 6)


def test_a_job_array_with_gaps_is_refused(monkeypatch):
    with pytest.raises(UserError, match="no even range"):
        array(monkeypatch, 7, 1, 3)  # --array=1,3,7
    with pytest.raises(UserError, match="no even range"):
        array(monkeypatch, 3, 0, 6, step=2)
