"""Pre-training of the embedded world's base model, from random weights on the noisy corpus.

    launch/make_base_model.sh WORKDIR

runs it along with the steps before and after, in 24 minutes on one core. This is how the shipped model was made; its
model card, rft_jax/world/base_model/README.md, says what to expect. Every checkpoint is kept: an early one is shipped.
"""

import dataclasses
from pathlib import Path

from rft_jax.config import TrainConfig
from rft_jax.config_flag import load


def get_config() -> TrainConfig:
    """Returns SFT's settings with one pass, a small model's rate and batch, short rows, and more checkpoints."""
    return dataclasses.replace(
        load(str(Path(__file__).with_name("sft.py")), TrainConfig),
        epochs=1,
        batch=16,
        learning_rate=2e-3,
        max_length=256,
        row_length=256,
        remat="none",
        save_every=200,
        keep=100,
    )
