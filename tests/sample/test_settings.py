"""Which part of the work a process of a job array takes, and which settings a path depends on."""

import dataclasses

import pytest

from rft_jax import config_flag
from rft_jax.config import SampleConfig
from rft_jax.data.prompt_format import PromptFormat
from rft_jax.errors import UserError
from rft_jax.sample.ledger import Ledger
from rft_jax.sample.settings import of_a_path, share
from rft_jax.task.templates.paper import Paper


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


def test_a_folder_has_log_probabilities_for_all_paths_or_none(tmp_path):
    config = config_flag.load("configs/sample.py", SampleConfig)
    asked = PromptFormat("m", "gsm8k", Paper(), (), 2, (2,))
    without = of_a_path(config, asked)
    share_of_all = {"problems": 1, "k": 1, "part": 0, "parts": 1}
    Ledger(tmp_path, {name: value for name, value in without.items() if name != "logprobs"}, **share_of_all)
    Ledger(tmp_path, without, **share_of_all)  # as a version made it that knew none
    with pytest.raises(UserError, match="logprobs was null, now true"):
        Ledger(tmp_path, of_a_path(dataclasses.replace(config, logprobs=True), asked), **share_of_all)
