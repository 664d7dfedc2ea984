"""The plan of a pipeline, without running it."""

import shlex
from pathlib import Path

from rft_jax.config import PipelineConfig
from rft_jax.pipeline import estimate, recipe, showable
from rft_jax.pipeline.one_stage import command_of
from rft_jax.pipeline.pace import Assumed
from rft_jax.pipeline.states import states


def plan(config: PipelineConfig, workdir: Path, *, hardware: str | None, chips: int | None) -> str:
    """Returns for each stage its command, what is left to do and what it will take; and what comparisons can show.

    Args:
        config: of the pipeline.
        workdir: where it would run.
        hardware: a key of HARDWARE; None: this machine, as it is measured now.
        chips: number of devices (of cores, for cpu).

    Raises:
        UserError: the config is wrong, or a model or the problems are missing.
    """
    stages = recipe.stages(config, workdir)
    if hardware is None and chips is None:
        estimates, told = _measured(config, workdir)
    else:
        kind = hardware or "cpu"
        pace = Assumed(kind, chips or estimate.default_chips(kind))
        estimates, told = estimate.estimate(config, workdir, pace), f"as {pace.chips} × {kind} should do it"
    described = {
        name: f"{state.what}{f' ({state.why})' if state.why else ''}" for name, state in states(stages, workdir).items()
    }
    commands = {stage.name: shlex.join(command_of(stage, planned=True)) for stage in stages}
    return "\n".join([estimate.table(estimates, described, commands), told, *showable.lines(config, workdir)])


def _measured(config: PipelineConfig, workdir: Path) -> tuple[list[estimate.StageEstimate], str]:
    estimate.architectures(config)  # raises on a missing model before what takes seconds to import
    from rft_jax.pipeline import measured

    try:
        pace = measured.Measured(config)
        made = estimate.estimate(config, workdir, pace)
    except measured.TooLargeError as error:
        kind = error.hardware or "cpu"
        assumed = Assumed(kind, error.chips if error.hardware else estimate.default_chips(kind))
        machine = f"{assumed.chips} × {kind}" if error.hardware else "a CPU"
        told = f"assumed for {machine}, not measured: {error}; --hardware=… estimates for another machine"
        return estimate.estimate(config, workdir, assumed), told
    return made, f"as measured on this machine in {pace.took:.0f} s, with what else it was doing"
