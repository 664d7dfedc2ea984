"""The whole loop on the embedded default: generated problems and a base model of 0.9 M parameters, on a laptop's CPU.

    python launch/pipeline.py --config=configs/quickstart.py --workdir=OUT

launch/quickstart.sh sets up the environment and does the same. `configs/quickstart.py:SEED` changes the training
problems, their order and the samples; `configs/quickstart.py:0-2` runs seeds 0 to 2, and compares over all of them. Two
models, `a` and `b`, are fine-tuned from the base with different seeds; both sample, and several ways to train are
compared on 800 held-out problems. It takes 5 to 12 minutes per seed on two cores. What to expect: see the README.
"""

import os
from pathlib import Path

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, StageConfig, TrainStage, WorldStage
from rft_jax.errors import UserError

BASE = Path(__file__).parents[1] / "rft_jax" / "world" / "base_model"


def get_config(argument: str = "0") -> PipelineConfig:
    """Returns the quickstart for a seed, or for seeds FIRST-LAST."""
    first, _, last = argument.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise UserError(f"configs/quickstart.py takes a seed, or seeds such as 0-2, not '{argument}'")
    seed, seeds = int(first), int(last or first) - int(first) + 1
    stages: list[StageConfig] = [
        WorldStage(name="world", train=384, test=800, seed=seed),
        EvaluateStage(name="eval-base", model="base"),
        # SFT, the paths its model finds, and RFT on them, starting from the base.
        TrainStage(name="sft-a", model="base", data="gold"),
        SampleStage(name="paths-a", model="sft-a"),
        SelectStage(name="select-a", paths=("paths-a",), ks=(4,)),
        TrainStage(name="rft", model="base", data="select-a"),
        # Two controls: SFT for as many steps as RFT, and (added by the pipeline) as many right paths, drawn at random.
        TrainStage(name="sft-long", model="base", data="gold", steps_of="rft"),
        EvaluateStage(name="eval-sft", model="sft-a", against=("eval-base",)),
        EvaluateStage(name="eval-sft-long", model="sft-long", against=("eval-sft",)),
        EvaluateStage(name="eval-rft", model="rft", against=("eval-sft", "eval-sft-long")),
        # The paths of two models united.
        TrainStage(name="sft-b", model="base", data="gold", settings=(f"seed={seed + 1000}",)),
        SampleStage(name="paths-b", model="sft-b", settings=(f"seed={seed + 1000}",)),
        SelectStage(name="select-union", paths=("paths-a", "paths-b")),
        TrainStage(name="rft-union", model="base", data="select-union"),
        EvaluateStage(name="eval-rft-union", model="rft-union", against=("eval-rft",)),
        # Every right path, but from half of the samples, so that it has about as many rows and takes no longer.
        SelectStage(name="select-all", paths=("paths-a",), rules="none", ks=(8,)),
        TrainStage(name="rft-no-dedup", model="base", data="select-all", k=8),
        EvaluateStage(name="eval-rft-no-dedup", model="rft-no-dedup", against=("eval-rft",)),
    ]
    return PipelineConfig(
        problems="world/train.jsonl",
        test="world/test.jsonl",
        models=(f"base={os.path.relpath(BASE)}",),
        # Small batches and a high rate suit a small model; the other settings are the paper's.
        train_settings=(
            "epochs=3", "batch=16", "learning_rate=5e-4", "remat=none", "save_every=10000", "keep=1",
            # All steps have the same shape, 16 × 128, so that only one program is compiled.
            "packing=none", "max_length=129",
        ),
        sample_settings=("max_new_tokens=120",),
        evaluate_settings=("max_new_tokens=120",),
        k=16,
        temperature=0.9,
        seed=seed,
        seeds=seeds,
        stages=tuple(stages),
    )  # fmt: skip
