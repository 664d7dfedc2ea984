"""Pre-training of the embedded world's base model, from random weights on the noisy corpus.

    launch/make_base_model.sh

runs it with what comes before and after, 20 minutes on two cores. The model that is shipped was made so; what to expect
from it stands on its model card, rft_jax/world/base_model/README.md.
"""

import dataclasses
import importlib.util
from pathlib import Path

from rft_jax.config import TrainConfig


def get_config() -> TrainConfig:
    """Returns SFT's settings with a small model's rate and batch."""
    spec = importlib.util.spec_from_file_location("sft", Path(__file__).with_name("sft.py"))
    assert spec is not None and spec.loader is not None
    sft = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sft)
    return dataclasses.replace(
        sft.get_config(),
        size="world",
        epochs=1,
        batch=16,
        learning_rate=2e-3,
        max_length=256,
        row_length=256,
        remat="none",
        save_every=200,
    )
