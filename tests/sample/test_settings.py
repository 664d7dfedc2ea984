"""Which settings a path depends on."""

import dataclasses

import pytest

from rft_jax import config_flag
from rft_jax.config import SampleConfig
from rft_jax.data.prompt_format import PromptFormat
from rft_jax.errors import UserError
from rft_jax.sample.settings import of_a_path
from rft_jax.sample.sharing.ledger import Ledger
from rft_jax.task.templates.paper import Paper


def test_a_folder_has_log_probabilities_for_all_paths_or_none(tmp_path):
    config = config_flag.load("configs/sample.py", SampleConfig)
    asked = PromptFormat("m", "gsm8k", Paper(), (), 2, (2,))
    without = of_a_path(config, asked)
    size = {"problems": 1, "k": 1}
    Ledger(tmp_path, {name: value for name, value in without.items() if name != "logprobs"}, **size)
    Ledger(tmp_path, without, **size)  # as a version made it that knew none
    with pytest.raises(UserError, match="logprobs was null, now true"):
        Ledger(tmp_path, of_a_path(dataclasses.replace(config, logprobs=True), asked), **size)
