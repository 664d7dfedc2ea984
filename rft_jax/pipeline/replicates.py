"""Expanded of a pipeline: the same stages with other seeds, except those that do not depend on the seed."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, assert_never

from rft_jax.config import (
    ContaminationStage,
    DrawStage,
    EvaluateStage,
    LossStage,
    PipelineConfig,
    RoundStage,
    SampleStage,
    SelectStage,
    StageConfig,
    TrainStage,
    WorldStage,
)
from rft_jax.pipeline import stage_settings
from rft_jax.select import rules

# Fields of stages that name other stages, and those that may name a file of one.
_NAMES = ("model", "steps_of", "paths", "against", "previous", "unless")
_SOURCES = ("data", "problems", "text", "train", "test")


@dataclasses.dataclass(frozen=True)
class Expanded:
    """A config's stages, once for each seed.

    Attributes:
        config: with all stages, and seeds=1.
        base: maps each stage's name to its name in the first replicate.
        number: maps each stage's name to its replicate, from 0; None: all share it.
    """

    config: PipelineConfig
    base: Mapping[str, str]
    number: Mapping[str, int | None]

    def of(self, base: str, number: int | None) -> str:
        """Returns the stage of this base in a replicate; where there is none, the shared or the first one."""
        fit = (name for name, other in self.base.items() if other == base and self.number[name] == number)
        return next(fit, base)


def replicated(config: PipelineConfig) -> Expanded:
    """Returns the stages of a config for each of its seeds: `seed`, `seed` + 1 and so on.

    The first replicate's stages keep their names, so that seeds can be added to a finished run; those of the others
    end with their seed. A stage's own seed is raised as the pipeline's is. What is not trained, sampled or drawn by a
    seed, such as the evaluation of the model at the start, is there once.
    """
    shared = _shared(config)
    stages: list[StageConfig] = []
    base, number = {}, {}
    for replicate in range(config.seeds):
        suffix = f".seed{config.seed + replicate}" if replicate else ""
        own = {stage.name: f"{stage.name}{suffix}" for stage in config.stages if stage.name not in shared}
        for stage in config.stages:
            if replicate and stage.name in shared:
                continue
            made = _seeded(config, _renamed(stage, own), replicate)
            stages.append(made)
            base[made.name] = stage.name
            number[made.name] = None if stage.name in shared else replicate
    return Expanded(dataclasses.replace(config, seeds=1, stages=tuple(stages)), base, number)


def named_in(stage: StageConfig) -> list[str]:
    """Returns what a stage names in the fields that may name other stages, or files of theirs."""
    values = (getattr(stage, field, None) for field in (*_NAMES, *_SOURCES))
    names = (value if isinstance(value, tuple) else (value,) for value in values)
    return [_maker(name) for each in names for name in each if isinstance(name, str)]


def _shared(config: PipelineConfig) -> set[str]:
    """Returns the stages that do not depend on the seed."""
    shared: set[str] = set()
    own: set[str] = set()  # makers of problems and models
    for stage in config.stages:
        match stage:
            case WorldStage() | TrainStage():
                is_shared = not stage.replicated
            case DrawStage():
                is_shared = stage.fraction == 1 and _maker(stage.train) not in own
            case ContaminationStage():
                is_shared = not {_maker(config.problems), _maker(config.test)} & own
            case EvaluateStage():
                # The votes of a model that all seeds share are drawn by the seed nevertheless.
                is_shared = stage.model not in own and not stage_settings.evaluation(config, stage).k
            case LossStage():
                is_shared = not {stage.model, _maker(stage.text)} & own
            case SampleStage() | SelectStage() | RoundStage():
                is_shared = False
            case _:
                assert_never(stage)
        (shared if is_shared else own).add(stage.name)
    return shared


def _maker(source: str) -> str:
    """Returns the stage that makes STAGE/FILE."""
    return source.partition("/")[0]


def _renamed(stage: StageConfig, names: Mapping[str, str]) -> StageConfig:
    """Returns a stage that has its own name of a replicate, and reads that replicate's stages."""
    changed: dict[str, Any] = {"name": names.get(stage.name, stage.name)}
    for field in _NAMES:
        value = getattr(stage, field, None)
        if isinstance(value, tuple):
            changed[field] = tuple(names.get(name, name) for name in value)
        elif value is not None:
            changed[field] = names.get(value, value)
    for field in _SOURCES:
        source = getattr(stage, field, None)
        if isinstance(source, str):
            changed[field] = _inside(source, names)
    return dataclasses.replace(stage, **changed)


def _inside(source: str, names: Mapping[str, str]) -> str:
    """Returns a file of a stage, STAGE/FILE, by the stage's name in the replicate."""
    name, slash, file = source.partition("/")
    return f"{names.get(name, name)}{slash}{file}"


def _seeded(config: PipelineConfig, stage: StageConfig, replicate: int) -> StageConfig:
    match stage:
        case WorldStage() | DrawStage():
            return dataclasses.replace(stage, seed=stage.seed + replicate)
        case TrainStage():
            return _with_seed(stage, config.seed, config.train_settings, replicate)
        case SampleStage():
            return _with_seed(stage, config.seed, config.sample_settings, replicate)
        case EvaluateStage():
            return _with_seed(stage, config.seed, config.evaluate_settings, replicate)
        case SelectStage(rules=rules.RANDOM):
            return dataclasses.replace(stage, rules=f"{rules.RANDOM}:{config.seed + replicate}")
        case _:
            return stage


_Seeded = TypeVar("_Seeded", TrainStage, SampleStage, EvaluateStage)


def _with_seed(stage: _Seeded, seed: int, settings: Sequence[str], replicate: int) -> _Seeded:
    """Returns a stage with its seed raised by `replicate`; the first replicate's is left as it is."""
    if not replicate:
        return stage
    given = dict(setting.partition("=")[::2] for setting in (f"seed={seed}", *settings, *stage.settings))["seed"]
    try:
        raised = int(given) + replicate
    except ValueError:
        return stage  # refused with the first replicate's
    return dataclasses.replace(stage, settings=(*stage.settings, f"seed={raised}"))
