"""The plan of a pipeline, without running it."""

import shlex
from pathlib import Path

from rft_jax.config import PipelineConfig
from rft_jax.pipeline import estimate, recipe
from rft_jax.pipeline.one_stage import command_of
from rft_jax.pipeline.states import states


def plan(config: PipelineConfig, workdir: Path, *, hardware: str, chips: int | None) -> str:
    """Returns for each stage its command, what is left to do, and what it will take.

    Raises:
        UserError: the config is wrong, or a model or the problems are missing.
    """
    stages = recipe.stages(config, workdir)
    estimates = estimate.estimate(config, workdir, hardware, chips or estimate.default_chips(hardware))
    described = {
        name: f"{state.what}{f' ({state.why})' if state.why else ''}" for name, state in states(stages, workdir).items()
    }
    commands = {stage.name: shlex.join(command_of(stage, planned=True)) for stage in stages}
    return estimate.table(estimates, described, commands)
