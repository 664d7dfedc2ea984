"""The whole loop in a minute: the embedded default's base model on a few of its problems.

python launch/pipeline.py --config=tests/pipeline/tiny.py --workdir=OUT
"""

import os

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, TrainStage, WorldStage
from rft_jax.pipeline.stage_settings import root


def get_config() -> PipelineConfig:
    """Returns a pipeline with a stage of each kind, and late flags."""
    base = root() / "rft_jax" / "world" / "base_model"
    return PipelineConfig(
        problems="world/train.jsonl",
        test="world/test.jsonl",
        models=(f"base={os.path.relpath(base)}",),
        train_settings=(
            "epochs=1", "batch=16", "learning_rate=5e-4", "remat=none", "save_every=2", "keep=1", "packing=none",
            "max_length=129",
        ),
        sample_settings=("max_new_tokens=64", "rows=8"),
        evaluate_settings=("max_new_tokens=64", "rows=8"),
        k=4,
        temperature=0.9,
        seed=0,
        stages=(
            WorldStage(name="world", train=40, test=8, seed=0),
            TrainStage(name="sft", model="base", data="gold", settings=("epochs=2",)),
            SampleStage(name="paths", model="sft"),
            SelectStage(name="set", paths=("paths",)),
            TrainStage(name="rft", model="base", data="set", steps_of="sft"),
            EvaluateStage(name="eval", model="rft"),
        ),
    )  # fmt: skip
