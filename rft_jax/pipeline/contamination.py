"""The comparison of test with training problems: a stage as soon as the problems exist, and what it warns of."""

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from rft_jax.config import ContaminationStage, DrawStage, PipelineConfig, WorldStage
from rft_jax.contamination import summary
from rft_jax.contamination.compare import RESULT
from rft_jax.pipeline.stage import Stage

STAGE = "contamination"


def compared(config: PipelineConfig) -> PipelineConfig:
    """Returns a config with a stage that compares its problems, unless it has one or wants none."""
    if not config.contamination or any(isinstance(stage, ContaminationStage) for stage in config.stages):
        return config
    sources = {source.partition("/")[0] for source in (config.problems, config.test)}
    makers = [
        number
        for number, stage in enumerate(config.stages)
        if isinstance(stage, WorldStage | DrawStage) and stage.name in sources
    ]
    first = makers[-1] + 1 if makers else 0
    stage = ContaminationStage(name=STAGE, corpus=config.corpora)
    return dataclasses.replace(config, stages=(*config.stages[:first], stage, *config.stages[first:]))


def warn(stages: Iterable[Stage], workdir: Path) -> None:
    """Tells what the finished comparisons among some stages have found: on stderr of test problems as they are."""
    for stage in stages:
        if stage.kind == STAGE:
            try:
                result = json.loads((workdir / stage.name / RESULT).read_text(encoding="utf-8"))
            except FileNotFoundError:
                continue  # not done yet
            for line in summary.notes(result):
                print(line, flush=True)
            for line in summary.warnings(result):
                print(line, file=sys.stderr, flush=True)
