"""The loop on MATH with any Llama folders: SFT, k paths per problem, selection, union, RFT, accuracy by level and type.

    python launch/pipeline.py --config=configs/math.py:NAME=FOLDER[,NAME=FOLDER…] --workdir=OUT

The models, the rounds (`+`) and the sizes are as in configs/gsm8k.py. The 7,500 problems of the hub's copy are asked
through the tokenizer's chat template, with a system message; for a tokenizer without one, write a task of your own
(BUILD.md, Extend) with another template. Solutions are longer than GSM8K's, so more tokens are sampled, and k is 16;
`--config.k=100` is as in the paper, which has no figures for MATH.
Equations are found in plain text, so the dedup sees what is arithmetic in a solution, and takes two that have no
equations for the same.
"""

import dataclasses
from pathlib import Path

from rft_jax.config import PipelineConfig
from rft_jax.config_flag import load


def get_config(argument: str = "") -> PipelineConfig:
    """Returns the loop for `NAME=FOLDER[,NAME=FOLDER…]`, with another round for each `+` at the end."""
    return dataclasses.replace(
        load(f"{Path(__file__).with_name('gsm8k.py')}:{argument}", PipelineConfig),
        problems="hf:DigitalLearningGmbH/MATH-lighteval:default:train",
        test="hf:DigitalLearningGmbH/MATH-lighteval:default:test",
        task="math",
        k=16,
        # Solutions are long; an example that is longer still is refused by its line.
        train_settings=("max_length=4096", "row_length=4096"),
        sample_settings=("max_new_tokens=1024",),
        evaluate_settings=("max_new_tokens=1024",),
    )
