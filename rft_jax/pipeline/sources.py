"""Paths that selections and checks of rounds read: of which stage and problems, and what is asked of them."""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rft_jax.config import (
    EvaluateStage,
    PipelineConfig,
    RoundStage,
    SampleConfig,
    SampleStage,
    SelectStage,
    StageConfig,
)
from rft_jax.errors import UserError
from rft_jax.pipeline import stage_settings
from rft_jax.rounds.record import SETTINGS
from rft_jax.sample import budgets


class Source(NamedTuple):
    """Paths to read.

    Attributes:
        stage: that samples them.
        problems: that they solve.
        pattern: of their files.
    """

    stage: SampleStage | EvaluateStage
    problems: str
    pattern: str

    @classmethod
    def of(cls, stage: StageConfig, config: PipelineConfig, workdir: Path) -> "Source":
        """Returns the paths of a stage that samples: of an evaluation those that voted."""
        assert isinstance(stage, SampleStage | EvaluateStage)
        voted = isinstance(stage, EvaluateStage)
        folder = workdir / stage.name / "votes" / "paths" if voted else workdir / stage.name / "paths"
        solved = (stage.problems or config.test) if isinstance(stage, EvaluateStage) else config.problems
        # A pattern that matches only this folder, whatever characters its name has.
        return cls(stage, solved, f"{glob.escape(str(folder))}/*.jsonl")

    def settings(self, config: PipelineConfig) -> SampleConfig:
        """Returns how they are sampled."""
        if isinstance(self.stage, EvaluateStage):
            return stage_settings.evaluation(config, self.stage)
        return stage_settings.sampling(config, self.stage)


def check_round(config: PipelineConfig, stage: RoundStage, source: Source, before: Source | None) -> None:
    """Raises UserError if paths cannot be checked as a round, or not compared with those of the one before.

    Args:
        config: of the pipeline.
        stage: that checks.
        source, before: the paths of its round, and of the round before if there is one.
    """
    own = source.settings(config)
    if not own.k:
        raise UserError(f"stage {stage.name} checks {source.stage.name}, which samples nothing: its k is 0")
    if not budgets.is_uniform(own):
        raise UserError(
            f"stage {stage.name}: {source.stage.name} has budget={own.budget}, and a round is checked by k samples of "
            "every problem: give it budget=uniform"
        )
    if before is None:
        return
    then = before.settings(config)
    pairs = {"problems": (source.problems, before.problems)} | {
        field: (getattr(own, field), getattr(then, field)) for field in ("k", *SETTINGS)
    }
    for field, (here, there) in pairs.items():
        if here != there:
            raise UserError(
                f"stage {stage.name} compares {source.stage.name} ({field} = {here}) with {before.stage.name} "
                f"({field} = {there}): sample all rounds alike"
            )


def check_unless(config: PipelineConfig, stage: SelectStage, known: Mapping[str, StageConfig]) -> None:
    """Raises UserError if a stage would be stopped by the test problems: these would choose the model.

    Args:
        config: of the pipeline.
        stage: that names checks of rounds.
        known: all stages, by their names.
    """
    for name in stage.unless:
        check = known[name]
        assert isinstance(check, RoundStage)
        if Source.of(known[check.paths], config, Path()).problems == config.test:
            raise UserError(
                f"stage {stage.name} would stop by {name}, which is on the test problems: check rounds on others"
            )
