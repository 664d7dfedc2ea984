"""An experiment of the paper as a pipeline."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rft_jax.config import Experiment, PipelineConfig, StageConfig
from rft_jax.paper.preset import Preset


def experiment(name: str, preset: Preset, cells: Iterable[Sequence[StageConfig]]) -> PipelineConfig:
    """Returns an experiment: the stages of its cells, each once.

    Args:
        name: of the experiment.
        preset: its size.
        cells: stages, each with what it needs before it.
    """
    stages = _once(stage for cell in cells for stage in cell)
    named = Experiment(name=name, size=preset.name, stages=tuple(stage.name for stage in stages))
    return _pipeline(preset, stages, (named,))


def together(preset: Preset, experiments: Iterable[PipelineConfig]) -> PipelineConfig:
    """Returns several experiments of one size as one pipeline; what they share is there once."""
    every = list(experiments)
    stages = _once(stage for each in every for stage in each.stages)
    return _pipeline(preset, stages, tuple(named for each in every for named in each.experiments))


# What a table of the paper depends on; who gives folders for the models says that they are the preset's.
_SETTINGS = (
    "problems", "test", "fraction", "test_fraction", "task", "train", "sample", "evaluate", "train_settings",
    "sample_settings", "evaluate_settings", "k", "temperature",
)  # fmt: skip


def changed(preset: Preset, plan: Mapping[str, Any], *, of_gsm8k: bool) -> list[str]:
    """Returns in words the settings of a plan that are not a preset's.

    Args:
        preset: a size.
        plan: pipeline.json.
        of_gsm8k: whether its problems are as many as GSM8K's, so that they may be a copy of it.
    """
    own = _pipeline(preset, (), ())
    found = []
    for field in _SETTINGS:
        if of_gsm8k and field in ("problems", "test"):
            continue
        value, told = getattr(own, field), plan.get(field)
        if (list(value) if isinstance(value, tuple) else value) != told:
            found.append(f"{field} = {told}")
    return found


def _once(stages: Iterable[StageConfig]) -> list[StageConfig]:
    """Returns the stages in their order, each once.

    Raises:
        ValueError: two differ that have one name.
    """
    found: dict[str, StageConfig] = {}
    for stage in stages:
        if found.setdefault(stage.name, stage) != stage:
            raise ValueError(f"two stages {stage.name} differ: {found[stage.name]} and {stage}")
    return list(found.values())


def _pipeline(preset: Preset, stages: Sequence[StageConfig], experiments: tuple[Experiment, ...]) -> PipelineConfig:
    return PipelineConfig(
        problems=preset.problems,
        test=preset.test,
        models=tuple(f"{name}={folder}" for name, folder in preset.models.items()),
        train_settings=preset.train,
        sample_settings=preset.sample,
        evaluate_settings=preset.evaluate,
        k=preset.k,
        temperature=preset.temperature,
        seed=0,
        seeds=preset.seeds,
        experiments=experiments,
        stages=tuple(_once((*preset.made, *stages))),
    )
