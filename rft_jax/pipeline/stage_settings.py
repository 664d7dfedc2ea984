"""The settings of the stages' commands: config file, overridden fields, and the config that results."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, assert_never

from absl import flags

from rft_jax import config_checks, config_flag, ranges
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
    StageConfig,
    TrainConfig,
    TrainStage,
    WorldStage,
)
from rft_jax.errors import UserError
from rft_jax.sample import budgets

Schema = TypeVar("Schema")

# Fields that the pipeline itself sets.
_GIVEN = ("model", "data", "problems", "against")


def check(config: PipelineConfig, stage: StageConfig) -> None:
    """Raises UserError if a stage's config file or settings are wrong, as far as can be seen before it runs."""
    for line in ranges.faults(stage):
        raise UserError(f"stage {stage.name}: {line}")
    match stage:
        case TrainStage():
            training(config, stage)
        case SampleStage():
            sampling(config, stage)
        case EvaluateStage():
            evaluation(config, stage)
        case WorldStage() | DrawStage() | ContaminationStage() | SelectStage() | LossStage() | RoundStage():
            pass
        case _:
            assert_never(stage)


def of_training(config: PipelineConfig, stage: TrainStage) -> tuple[str, ...]:
    """Returns a training stage's config fields, as `name=value`; with `steps_of`, epochs are added late."""
    settings = _last((f"task={config.task}", f"seed={config.seed}", *config.train_settings, *stage.settings))
    return tuple(setting for setting in settings if not (stage.steps_of and setting.startswith("epochs=")))


def of_sampling(config: PipelineConfig, stage: SampleStage) -> tuple[str, ...]:
    """Returns a sampling stage's config fields, as `name=value`.

    If several stages sample from one model, the later ones put their own name in their paths, not the model's:
    otherwise two paths would have the same name and number.
    """
    first = next(other for other in config.stages if isinstance(other, SampleStage) and other.model == stage.model)
    name = stage.model if first.name == stage.name else stage.name
    own = (f"name={name}", f"k={config.k}", f"temperature={config.temperature}", f"seed={config.seed}")
    return _last((f"task={config.task}", *own, *config.sample_settings, *stage.settings))


def of_evaluation(config: PipelineConfig, stage: EvaluateStage) -> tuple[str, ...]:
    """Returns an evaluation stage's config fields, as `name=value`."""
    own = (f"task={config.task}", f"name={stage.model}", f"seed={config.seed}")
    return _last((*own, *config.evaluate_settings, *stage.settings))


def training(config: PipelineConfig, stage: TrainStage) -> TrainConfig:
    """Returns the config of a training stage, without its inputs and late flags.

    Raises:
        UserError: the config file or a field does not exist, or a value has the wrong type or is out of range.
    """
    made = _made(stage.name, stage.config or config.train, of_training(config, stage), TrainConfig)
    if made.lora.export == "adapter":
        raise UserError(f"stage {stage.name}: lora.export = adapter, and other stages read models: it must be merged")
    return _checked(stage.name, made, config_checks.training)


def sampling(config: PipelineConfig, stage: SampleStage) -> SampleConfig:
    """Returns the config of a sampling stage, as `training` does."""
    made = _made(stage.name, config.sample, of_sampling(config, stage), SampleConfig)
    return _checked(stage.name, made, _check_sampling)


def evaluation(config: PipelineConfig, stage: EvaluateStage) -> EvaluateConfig:
    """Returns the config of an evaluation stage, as `training` does."""
    made = _made(stage.name, config.evaluate, of_evaluation(config, stage), EvaluateConfig)
    return _checked(stage.name, made, config_checks.evaluation)


def samples(config: PipelineConfig, stage: SampleStage | EvaluateStage) -> int:
    """Returns how many samples per problem a stage leaves, as `sampling` and `evaluation` do."""
    return (sampling(config, stage) if isinstance(stage, SampleStage) else evaluation(config, stage)).k


def check_samples(stage: SelectStage, found: Mapping[str, int]) -> None:
    """Raises UserError if a stage needs more samples per problem than some stage leaves; `found` maps these to them."""
    fewest = min(found, key=lambda name: found[name])
    if not found[fewest]:
        raise UserError(f"stage {stage.name} selects from {fewest}, which samples nothing: its k is 0")
    if too_many := [k for k in stage.ks if k > found[fewest]]:
        raise UserError(
            f"stage {stage.name}: no set from the first {too_many[0]} samples, as {fewest} has {found[fewest]} per "
            "problem: ask for fewer in ks, or for a larger k of the samples"
        )


def config_file(reference: str) -> str:
    """Returns the file in `FILE:ARGUMENT`: relative to the current folder if it exists there, else to the checkout."""
    name = reference.partition(":")[0]
    return name if Path(name).exists() else str(root() / name)


def root() -> Path:
    """Returns the checkout: where launch/ and configs/ are."""
    return Path(__file__).parents[2]


def _last(settings: Sequence[str]) -> tuple[str, ...]:
    """Returns the settings; of those with the same name, the last."""
    values = dict(setting.partition("=")[::2] for setting in settings)
    return tuple(f"{name}={value}" for name, value in values.items())


def _made(stage: str, reference: str, settings: Sequence[str], schema: type[Schema]) -> Schema:
    _, colon, argument = reference.partition(":")
    try:
        made = config_flag.load(f"{config_file(reference)}{colon}{argument}", schema)
        for setting in settings:
            field, _, value = setting.partition("=")
            if field in _GIVEN:
                raise UserError(
                    f"the pipeline itself sets '{field}'; give it as a field of the stage, not in its settings"
                )
            made = config_flag.override(made, field, value)
    except (UserError, flags.Error) as error:
        raise UserError(f"stage {stage}: {error}") from error
    return made


def _check_sampling(made: SampleConfig) -> None:
    config_checks.sampling(made)
    budgets.policy_of(made)


def _checked(stage: str, made: Schema, check: Callable[[Schema], None]) -> Schema:
    try:
        check(made)
    except UserError as error:
        raise UserError(f"stage {stage}: {error}") from error
    return made
