"""The quickstart, and its models on 1,200 fresh problems, on which no choice was made.

    python launch/pipeline.py --config=configs/fresh.py:3 --workdir=OUT

is configs/quickstart.py:3, a seed that no choice was made on either (the base model and the number of training problems
were chosen on the first test problems, and seeds 0 to 2 looked at), and evaluates each of its models again on problems
that are none of the standard ones. The argument is the quickstart's. In the workdir of a quickstart with the same seed
nothing is trained again: only the fresh problems are made, and the models evaluated on them. The report has the results
on either set under headings of their own.
"""

import dataclasses
from pathlib import Path

from rft_jax.config import EvaluateStage, PipelineConfig, WorldStage
from rft_jax.config_flag import load

COUNT = 1200


def get_config(argument: str = "3") -> PipelineConfig:
    """Returns the quickstart for a seed, with each of its evaluations once more."""
    quickstart = load(f"{Path(__file__).with_name('quickstart.py')}:{argument}", PipelineConfig)
    evaluations = [stage for stage in quickstart.stages if isinstance(stage, EvaluateStage)]
    again = {stage.name: stage.name.replace("eval-", "fresh-") for stage in evaluations}
    return dataclasses.replace(
        quickstart,
        stages=(
            *quickstart.stages,
            WorldStage(name="fresh", train=1, test=1, seed=0, fresh=COUNT, replicated=False),
            *(
                dataclasses.replace(
                    stage,
                    name=again[stage.name],
                    problems="fresh/fresh.jsonl",
                    against=tuple(again[name] for name in stage.against),
                )
                for stage in evaluations
            ),
        ),
    )
