"""What the stages' commands are set to: a config file each, the fields set on top, and the config that this makes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from absl import flags

from rft_jax import config_flag
from rft_jax.config import (
    EvaluateConfig,
    EvaluateStage,
    PipelineConfig,
    SampleConfig,
    SampleStage,
    StageConfig,
    TrainConfig,
    TrainStage,
)
from rft_jax.errors import UserError

Schema = TypeVar("Schema")

# What the pipeline knows better.
_GIVEN = ("model", "data", "problems", "against")


def check(config: PipelineConfig, stage: StageConfig) -> None:
    """Raises UserError if a stage's config file or settings are wrong, as far as that shows before it runs."""
    match stage:
        case TrainStage():
            training(config, stage)
        case SampleStage():
            sampling(config, stage)
        case EvaluateStage():
            evaluation(config, stage)


def of_training(config: PipelineConfig, stage: TrainStage) -> tuple[str, ...]:
    """Returns the fields of a training stage's config, `name=value`; of `steps_of` the epochs come late."""
    settings = _last((f"task={config.task}", f"seed={config.seed}", *config.train_settings, *stage.settings))
    return tuple(setting for setting in settings if not (stage.steps_of and setting.startswith("epochs=")))


def of_sampling(config: PipelineConfig, stage: SampleStage) -> tuple[str, ...]:
    """Returns the fields of a sampling stage's config, `name=value`.

    Of several stages with one model the later ones name themselves in their paths, and not the model: two paths of one
    name would have the same number.
    """
    first = next(other for other in config.stages if isinstance(other, SampleStage) and other.model == stage.model)
    name = stage.model if first.name == stage.name else stage.name
    own = (f"name={name}", f"k={config.k}", f"temperature={config.temperature}", f"seed={config.seed}")
    return _last((f"task={config.task}", *own, *config.sample_settings, *stage.settings))


def of_evaluation(config: PipelineConfig, stage: EvaluateStage) -> tuple[str, ...]:
    """Returns the fields of an evaluation stage's config, `name=value`."""
    own = (f"task={config.task}", f"name={stage.model}", f"seed={config.seed}")
    return _last((*own, *config.evaluate_settings, *stage.settings))


def training(config: PipelineConfig, stage: TrainStage) -> TrainConfig:
    """Returns what a training stage runs with, but for what it reads and what comes late.

    Raises:
        UserError: no such config file, no such field, or a value that is not of its type.
    """
    return _made(stage.name, stage.config or config.train, of_training(config, stage), TrainConfig)


def sampling(config: PipelineConfig, stage: SampleStage) -> SampleConfig:
    """Returns what a sampling stage runs with, as `training` does."""
    return _made(stage.name, config.sample, of_sampling(config, stage), SampleConfig)


def evaluation(config: PipelineConfig, stage: EvaluateStage) -> EvaluateConfig:
    """Returns what an evaluation stage runs with, as `training` does."""
    return _made(stage.name, config.evaluate, of_evaluation(config, stage), EvaluateConfig)


def config_file(reference: str) -> str:
    """Returns the file of a config with its argument (`configs/sft.py:7b`): as named from here, or the checkout's."""
    name = reference.partition(":")[0]
    return name if Path(name).exists() else str(root() / name)


def root() -> Path:
    """Returns the checkout: where launch/ and configs/ are."""
    return Path(__file__).parents[2]


def _last(settings: Sequence[str]) -> tuple[str, ...]:
    """Returns the settings; of one name the last counts."""
    values = dict(setting.partition("=")[::2] for setting in settings)
    return tuple(f"{name}={value}" for name, value in values.items())


def _made(stage: str, reference: str, settings: Sequence[str], schema: type[Schema]) -> Schema:
    _, colon, argument = reference.partition(":")
    try:
        made = config_flag.load(f"{config_file(reference)}{colon}{argument}", schema)
        for setting in settings:
            field, _, value = setting.partition("=")
            if field in _GIVEN:
                raise UserError(f"the pipeline itself sets '{field}'; name it in the stage, not in its settings")
            made = config_flag.override(made, field, value)
    except (UserError, flags.Error) as error:
        raise UserError(f"stage {stage}: {error}") from error
    return made
