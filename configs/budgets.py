"""Budgets of about as many tokens beside each other on the embedded world, from sampling to the models trained on them.

    python launch/pipeline.py --config=configs/budgets.py:20-24 --workdir=OUT

SEED, or seeds FIRST-LAST. A model is fine-tuned and sampled from: uniformly, 8 paths a problem, and by each policy with
a k at which it takes about as many tokens. On what each finds a model is trained. The k were chosen by the tokens
alone, in replays of two other seeds' paths. The report has the paths under "Budgets", the accuracies under
"Comparisons". It takes about 7 minutes per seed on two cores.
"""

import os
from pathlib import Path

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, StageConfig, TrainStage, WorldStage
from rft_jax.errors import UserError

BASE = Path(__file__).parents[1] / "rft_jax" / "world" / "base_model"
BUDGETS = {  # name → budget and k
    "uniform": ("uniform", 8),
    "distinct": ("distinct=2", 10),
    "correct": ("correct=2", 14),
    "proportional": ("proportional=4", 10),
    "boundary": ("boundary=9:first=5", 16),
    "tokens": ("tokens=177000", 16),
}


def get_config(argument: str = "0") -> PipelineConfig:
    """Returns the pipeline for a seed, or for seeds FIRST-LAST."""
    first, _, last = argument.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise UserError(f"configs/budgets.py takes a seed, or seeds such as 20-24, not '{argument}'")
    seed, seeds = int(first), int(last or first) - int(first) + 1
    stages: list[StageConfig] = [
        WorldStage(name="world", train=384, test=800, seed=seed),
        TrainStage(name="sft", model="base", data="gold"),
        EvaluateStage(name="eval-sft", model="sft"),
    ]
    for name, (budget, k) in BUDGETS.items():
        against = ("eval-sft",) if name == "uniform" else ("eval-uniform",)
        stages += [
            SampleStage(name=f"paths-{name}", model="sft", settings=(f"budget={budget}", f"k={k}")),
            SelectStage(name=f"select-{name}", paths=(f"paths-{name}",)),
            TrainStage(name=f"rft-{name}", model="base", data=f"select-{name}"),
            EvaluateStage(name=f"eval-{name}", model=f"rft-{name}", against=against),
        ]
    return PipelineConfig(
        problems="world/train.jsonl",
        test="world/test.jsonl",
        models=(f"base={os.path.relpath(BASE)}",),
        train_settings=(
            "epochs=3", "batch=16", "learning_rate=5e-4", "remat=none", "save_every=10000", "keep=1", "packing=none",
            "max_length=129",
        ),
        sample_settings=("max_new_tokens=120",),
        evaluate_settings=("max_new_tokens=120",),
        k=16,
        temperature=0.9,
        seed=seed,
        seeds=seeds,
        controls=(),
        contamination=False,
        stages=tuple(stages),
    )  # fmt: skip
