"""Rounds of RFT on the embedded default: each model samples for the next, and each round is checked before it is used.

    python launch/pipeline.py --config=configs/rounds.py --workdir=OUT

The argument is SEED[:PATHS[:ROUNDS]], by default 0:all:4. PATHS says what a round's model is trained on, always from
the base model: `all`, the paths of all rounds so far united, those of earlier rounds reused; `own`, those of its own
round alone. Both stop where the rule says so (rft_jax/rounds/rule.py), and what would have followed is skipped.
`collapse` is made to collapse: each round's own paths alone, sampled at a low temperature, every right one whether or
not they are alike, so that what a model says most often outweighs the rest; the rule only flags, so that one sees what
follows. A training set has the gold answer of each problem, once.

What to expect: configs/ROUNDS.md.
"""

import dataclasses
from pathlib import Path

from rft_jax.config import (
    EvaluateStage,
    PipelineConfig,
    RoundStage,
    SampleStage,
    SelectStage,
    StageConfig,
    TrainStage,
    WorldStage,
)
from rft_jax.config_flag import load
from rft_jax.errors import UserError

PATHS = ("all", "own", "collapse")


def get_config(argument: str = "0") -> PipelineConfig:
    """Returns the rounds for SEED[:PATHS[:ROUNDS]]."""
    seed, paths, rounds = _parsed(argument)
    collapses = paths == "collapse"
    stages: list[StageConfig] = [
        WorldStage(name="world", train=256, test=800, seed=seed),
        TrainStage(name="model-0", model="base", data="gold"),
        EvaluateStage(name="eval-0", model="model-0"),
    ]
    for number in range(1, rounds + 1):
        chosen = tuple(f"paths-{each}" for each in (range(1, number + 1) if paths == "all" else (number,)))
        stages += [
            SampleStage(name=f"paths-{number}", model=f"model-{number - 1}"),
            RoundStage(
                name=f"round-{number}",
                paths=f"paths-{number}",
                previous=f"round-{number - 1}" if number > 1 else None,
            ),
            SelectStage(
                name=f"select-{number}",
                paths=chosen,
                rules="none" if collapses else "paper",
                unless=() if collapses else (f"round-{number}",),
            ),
            TrainStage(name=f"model-{number}", model="base", data=f"select-{number}"),
            EvaluateStage(name=f"eval-{number}", model=f"model-{number}", against=(f"eval-{number - 1}",)),
        ]
    quickstart = load(f"{Path(__file__).with_name('quickstart.py')}:{seed}", PipelineConfig)
    return dataclasses.replace(
        quickstart,
        sample_settings=(*quickstart.sample_settings, "logprobs=True"),
        k=8,
        temperature=0.3 if collapses else quickstart.temperature,
        controls=(),
        stages=tuple(stages),
    )


def _parsed(argument: str) -> tuple[int, str, int]:
    seed, paths, rounds, *more = [*argument.split(":"), *("0", "all", "4")[argument.count(":") + 1 :]]
    if more or not seed.isdecimal() or paths not in PATHS or not rounds.isdecimal() or int(rounds) < 1:
        raise UserError(
            f"configs/rounds.py takes SEED[:{'|'.join(PATHS)}[:ROUNDS]], such as 0:own or 0:all:6, not '{argument}'"
        )
    return int(seed), paths, int(rounds)
