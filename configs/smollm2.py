"""The paper's loop on SmolLM2, 135M or 360M, and GSM8K: for one GPU, or a laptop and patience.

    python launch/pipeline.py --config=configs/smollm2.py:135m --workdir=OUT --dry_run

measures this machine for about a minute and says how long each stage will take; without `--dry_run` it runs them. What
stands behind the colon is 135m, 360m, 135m-instruct or 360m-instruct, from the hub; NAME=FOLDER for another folder of
the family; several, with commas, share their paths; each `+` at the end adds a round (configs/gsm8k.py).

- `--config.fraction=0.1` trains on a tenth of the problems, drawn by the seed. A smaller fraction is the beginning of a
  larger one, so the paths that were sampled for it are the same. `--config.test_fraction=0.1` evaluates on a tenth.
- `--config.k=100` paths per problem are the paper's; the fewer, the sooner.
- `--config.evaluate_settings=k=16` adds maj1@16 and pass@k to the greedy accuracy.

The paper has no model of this size. BUILD.md (Measured) has what was measured here.
"""

import dataclasses
from pathlib import Path

from rft_jax.config import PipelineConfig, TrainStage
from rft_jax.config_flag import load
from rft_jax.names import join_list, split_list

HUB = {
    "135m": "smollm2-135m=hf:HuggingFaceTB/SmolLM2-135M",
    "360m": "smollm2-360m=hf:HuggingFaceTB/SmolLM2-360M",
    "135m-instruct": "smollm2-135m-instruct=hf:HuggingFaceTB/SmolLM2-135M-Instruct",
    "360m-instruct": "smollm2-360m-instruct=hf:HuggingFaceTB/SmolLM2-360M-Instruct",
}


def get_config(argument: str = "135m") -> PipelineConfig:
    """Returns the loop for models of HUB, or `NAME=FOLDER`, with another round for each `+` at the end."""
    listed = argument.rstrip("+")
    models = join_list(HUB.get(model, model) for model in split_list(listed))
    made = load(f"{Path(__file__).with_name('gsm8k.py')}:{models}{argument[len(listed) :]}", PipelineConfig)
    stages = (
        dataclasses.replace(stage, config="configs/sft.py:smollm2") if isinstance(stage, TrainStage) else stage
        for stage in made.stages
    )
    return dataclasses.replace(made, stages=tuple(stages))
