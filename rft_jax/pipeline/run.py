"""Runs the stages of a pipeline in turn, or one of them in a job of its own."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from rft_jax import provenance
from rft_jax.config import PipelineConfig
from rft_jax.distributed import processes
from rft_jax.errors import UserError, did_you_mean
from rft_jax.files import make_folder
from rft_jax.pipeline import contamination, models, one_stage, plan_file, recipe, stopped
from rft_jax.pipeline.stage import LOG, Stage
from rft_jax.pipeline.states import refuse_stale, state_of, states
from rft_jax.pipeline.workdir_lock import lock


def run(config: PipelineConfig, workdir: Path, *, redo: bool, command: str) -> None:
    """Runs every stage of a config that is not done.

    Args:
        config: config of the pipeline.
        workdir: holds the stages' folders.
        redo: run stale stages again; their folders are moved to workdir/stale.
        command: the user's command, for messages that say how to continue.

    Raises:
        UserError: the config is wrong, a stage is stale, or a stage failed.
    """
    refuse_several_processes()
    stages = recipe.stages(config, workdir)
    models.check(config)
    print(provenance.line(provenance.software()), flush=True)
    described = plan_file.describe(config)
    run_stages(stages, workdir, redo=redo, command=command, described=described)


def run_stages(
    stages: Sequence[Stage],
    workdir: Path,
    *,
    redo: bool,
    command: str,
    described: dict[str, object],
) -> None:
    """Runs stages as `run` does.

    Args:
        stages, workdir, redo, command: as for `run`.
        described: contents of pipeline.json.
    """
    make_folder(workdir, clean=False)
    with lock(workdir) as held:
        make_folder(workdir)
        refuse_stale(stages, states(stages, workdir), redo)
        plan_file.write(workdir, described)
        done: list[str] = []
        skipped: dict[str, str] = {}
        for stage in stages:
            if stage.name in skipped:
                continue
            one_stage.do(stages, stopped.left(stage, skipped), workdir, held, redo=redo, command=command)
            contamination.warn([stage], workdir)
            done.append(stage.name)
            if stage.kind == stopped.ROUND:
                before, skipped = skipped, stopped.skipped(stages, done, workdir)
                print("".join(f"{line}\n" for line in stopped.told(skipped, before)), end="", flush=True)
    if stages[-1].kind == "report":
        log = workdir / stages[-1].name / LOG  # a job's output goes elsewhere
        told = log.read_text(encoding="utf-8").strip() if log.exists() else f"report: {workdir / 'report.html'}"
        print(f"\n{told}", flush=True)


def run_only(
    config: PipelineConfig,
    workdir: Path,
    name: str,
    *,
    launcher: Sequence[str],
    workers: int | None,
    redo: bool,
    command: str,
) -> None:
    """Runs one stage of a config, unless it is done or skipped; the jobs of a submitted pipeline do.

    Args:
        config, workdir, redo, command: as for `run`.
        name: of the stage.
        launcher: starts the stage's processes, such as srun.
        workers: processes of a selection or a comparison; None: one per processor.

    Raises:
        UserError: as `run` does; or there is no such stage, or one that it needs is not done.
    """
    refuse_several_processes()
    stages = {stage.name: stage for stage in recipe.stages(config, workdir)}
    if name not in stages:
        raise UserError(f"no stage is called '{name}'{did_you_mean(name, stages)}; known: {', '.join(stages)}")
    stage = stages[name]
    if workers and stage.kind in ("select", "contamination"):
        stage = dataclasses.replace(stage, locations={**stage.locations, "--workers": str(workers)})
        stages[name] = stage
    make_folder(workdir, clean=False)
    with lock(workdir, shared=True) as held:
        skipped = _skipped(stages, stage, workdir)
        if name in skipped:
            print(f"{name}: skipped, as {skipped[name]}", flush=True)
            return
        stage = stopped.left(stage, skipped)
        plan_file.write(workdir, plan_file.describe(config))
        if stage.kind == "evaluate":
            contamination.warn(stages.values(), workdir)
        one_stage.do(list(stages.values()), stage, workdir, held, redo=redo, command=command, launcher=launcher)


def refuse_several_processes() -> None:
    """Raises UserError if this is one of several processes, or the environment contradicts itself about that."""
    if processes.from_environment(os.environ, gpus=0) is not None:
        raise UserError("the pipeline is one process: start it without srun or mpirun, and unset JAX_NUM_PROCESSES")


def _skipped(stages: dict[str, Stage], stage: Stage, workdir: Path) -> dict[str, str]:
    """Returns what the checks of rounds skip, as far as they decide on a stage.

    Raises:
        UserError: a stage that this one needs is neither skipped nor done.
    """
    done: list[str] = []
    skipped: dict[str, str] = {}
    for name in _needed(stages, stage):
        if name in skipped:
            continue
        if (state := state_of(stages[name], workdir, ())).what != "done":
            why = f": {state.why}" if state.why else ""
            raise UserError(f"stage {stage.name} needs {name}, which is not done ({state.what}{why})")
        done.append(name)
        if stages[name].kind == stopped.ROUND:
            skipped = stopped.skipped(list(stages.values()), done, workdir)
    return skipped


def _needed(stages: dict[str, Stage], stage: Stage) -> list[str]:
    """Returns the stages that a stage needs, directly or not, in their order, with the checks that may skip it."""
    needed = {*stage.after, *stage.unless}
    for before in reversed(stages.values()):
        if before.name in needed:
            needed |= {*before.after, *before.unless}
    return [name for name in stages if name in needed]
