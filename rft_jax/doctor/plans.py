"""What a config means for the checks: what is read, what will be written, and what must fit."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

from rft_jax.config import (
    ContaminationStage,
    DrawStage,
    EvaluateConfig,
    EvaluateStage,
    LossStage,
    PipelineConfig,
    RoundStage,
    SampleConfig,
    SampleStage,
    SelectStage,
    TrainConfig,
    TrainStage,
    WorldStage,
)
from rft_jax.data import prompt_format
from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import located
from rft_jax.model import architecture
from rft_jax.model.architecture import LlamaConfig
from rft_jax.pipeline import contamination, estimate, recipe, stage_settings
from rft_jax.pipeline.pace import Assumed, MeanLengths
from rft_jax.pipeline.stage import Reads
from rft_jax.records.problem import read_problems
from rft_jax.task import task as tasks

Config = TrainConfig | SampleConfig | PipelineConfig

# GSM8K's training problems, to reckon with where the data are not read: from the hub, or not made yet.
_USUAL = MeanLengths(7473, 97.0, 131.0)


@dataclasses.dataclass(frozen=True)
class Job:
    """One training, sampling or evaluation.

    Attributes:
        name: of the stage; "" where there is one job only.
        config: its settings.
        architecture: returns the architecture of its model, or raises UserError.
        lengths: returns those of its examples or problems, or raises UserError.
    """

    name: str
    config: TrainConfig | SampleConfig
    architecture: Callable[[], LlamaConfig]
    lengths: Callable[[], MeanLengths]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        jobs: that use devices.
        inputs: what is read, by its name for people.
        disk: returns how many bytes will be written besides what is there, and of what; or raises UserError.
    """

    jobs: Sequence[Job]
    inputs: dict[str, Reads]
    disk: Callable[[], tuple[float, str]]


def of(config: Config, workdir: Path | None, *, on_cpu: bool) -> Plan:
    """Returns the plan of a config.

    Args:
        config: of a command.
        workdir: where it will write, if that is known.
        on_cpu: whether it will run on CPUs.

    Raises:
        UserError: the config names nothing to read, or contradicts itself.
    """
    config = located.pinned_in(config)
    match config:
        case TrainConfig():
            return _of_training(config, workdir, on_cpu)
        case SampleConfig():
            return _of_sampling(config, workdir)
        case PipelineConfig():
            return _of_pipeline(config, workdir or Path("a new folder"), on_cpu)
        case _:
            assert_never(config)


def _of_training(config: TrainConfig, workdir: Path | None, on_cpu: bool) -> Plan:
    _needed(config.checkpoint or config.model or config.size, "model")
    _needed(config.data, "data")
    job = Job("", config, lambda: _architecture(config), lambda: _lengths(config.data, config.task))

    def disk() -> tuple[float, str]:
        need = estimate.training_disk(config, job.architecture(), on_cpu=on_cpu)
        there = _used(workdir, "checkpoints", "model")
        kept = f"{config.keep} checkpoints, one more while it is made, and the model"
        return max(0.0, need - there), kept if config.checkpoints is None else "the model"

    read = {"model": config.model, "checkpoint": config.checkpoint, "tokenizer": config.tokenizer, "data": config.data}
    return Plan([job], _given(read, config.task, config.template), disk)


def _of_sampling(config: SampleConfig, workdir: Path | None) -> Plan:
    folder = located.settings(_needed(config.model, "model"))
    _needed(config.problems, "problems")
    task = prompt_format.task_of(folder, config.task) if folder.is_dir() else config.task or tasks.DEFAULT
    evaluates = isinstance(config, EvaluateConfig)

    def lengths() -> MeanLengths:
        return _lengths(config.problems, task)

    def disk() -> tuple[float, str]:
        known = lengths()
        paths = known.problems * (config.k + evaluates)
        need = estimate.paths_disk(paths, known) - _used(workdir, "paths", "votes")
        return max(0.0, need), f"{paths:,} paths"

    read = {"model": config.model, "problems": config.problems, "worked examples": config.shots_from}
    job = Job("", config, lambda: hf_config.read(folder), lengths)
    return Plan([job], _given(read, config.task, config.template), disk)


def _of_pipeline(config: PipelineConfig, workdir: Path, on_cpu: bool) -> Plan:
    recipe.stages(config, workdir)  # raises on what contradicts itself
    made = {stage.name for stage in config.stages if isinstance(stage, WorldStage)}
    others = ((f"problems of {each.name}", each.problems) for each in config.stages if isinstance(each, EvaluateStage))
    sets = {
        name: source
        for name, source in (("problems", config.problems), ("test problems", config.test), *others)
        if source is not None and source.partition("/")[0] not in made
    }
    given = (each.partition("=") for each in config.models)
    models = {f"model {name}": located.pinned(folder) for name, _, folder in given}

    def lengths(source: str) -> Callable[[], MeanLengths]:
        return lambda: _USUAL if source not in sets.values() else _lengths(source, config.task)

    def model(name: str) -> Callable[[], LlamaConfig]:
        return lambda: estimate.architectures(config)(name)

    jobs = []
    for stage in config.stages:
        match stage:
            case TrainStage():
                of_stage: TrainConfig | SampleConfig = stage_settings.training(config, stage)
                jobs.append(Job(stage.name, of_stage, model(stage.model), lengths(config.problems)))
            case SampleStage():
                of_stage = stage_settings.sampling(config, stage)
                jobs.append(Job(stage.name, of_stage, model(stage.model), lengths(config.problems)))
            case EvaluateStage():
                of_stage = stage_settings.evaluation(config, stage)
                jobs.append(Job(stage.name, of_stage, model(stage.model), lengths(stage.problems or config.test)))
            case SelectStage() | WorldStage() | DrawStage() | ContaminationStage() | LossStage() | RoundStage():
                pass
            case _:
                assert_never(stage)

    def disk() -> tuple[float, str]:
        each = estimate.estimate(config, workdir, Assumed("cpu" if on_cpu else "a100-80g", 1))
        need = sum(found.disk for found in each) - _used(workdir, ".")
        return max(0.0, need), f"by {len(config.stages)} stages"

    compared = [stage for stage in contamination.compared(config).stages if isinstance(stage, ContaminationStage)]
    corpora: dict[str, Reads] = {f"corpus of {stage.name}": stage.corpus for stage in compared if stage.corpus}
    return Plan(jobs, _given({**models, **sets}, config.task, None) | corpora, disk)


def _architecture(config: TrainConfig) -> LlamaConfig:
    if config.checkpoint:
        from rft_jax.train import checkpoint  # Orbax takes seconds to import

        return checkpoint.read_origin(located.whole(config.checkpoint)).architecture
    if config.model:
        return hf_config.read(located.settings(config.model))
    return architecture.size(config.size or "")


def _needed(value: str | None, field: str) -> str:
    if value is None:
        raise UserError(f"the config says no {field}: give --config.{field}")
    return value


def _lengths(source: str | None, task: str) -> MeanLengths:
    """Returns the lengths of a file of problems; those of GSM8K for a data set of the hub, which may be far away."""
    if source is None or source.startswith("hf:"):
        return _USUAL
    return MeanLengths.of(read_problems(source, tasks.load(task).reader))


def _given(read: dict[str, str | None], task: str | None, template: str | None) -> dict[str, Reads]:
    # What is shipped has a name without a suffix.
    own = {
        "task": tasks.Reference.parse(task or "").file,
        "template": template if template and Path(template).suffix else None,
    }
    return {name: where for name, where in {**read, **own}.items() if where}


def _used(workdir: Path | None, *names: str) -> float:
    """Returns the bytes that an earlier start has left there."""
    if workdir is None:
        return 0.0
    files = (file for name in names for file in (workdir / name).rglob("*"))
    return float(sum(file.stat().st_size for file in files if file.is_file()))
