"""Budgets of about as many tokens beside each other on the embedded world, from sampling to the models trained on them.

    python launch/pipeline.py --config=configs/budgets.py:20-24 --workdir=OUT

The argument is the quickstart's, and so are world and settings. A model is fine-tuned and sampled from: uniformly, 8
paths a problem, and by each policy with a k at which it takes about as many tokens. On what each finds a model is
trained. The k were chosen by the tokens alone, in replays of two other seeds' paths. The report has the paths under
"Budgets", the accuracies under "Comparisons". Five seeds took 55 minutes on two cores.
"""

import dataclasses
from pathlib import Path

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, StageConfig, TrainStage
from rft_jax.config_flag import load

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
    quickstart = load(f"{Path(__file__).with_name('quickstart.py')}:{argument}", PipelineConfig)
    stages: list[StageConfig] = [
        quickstart.stages[0],  # the world
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
    return dataclasses.replace(quickstart, controls=(), contamination=False, stages=tuple(stages))
