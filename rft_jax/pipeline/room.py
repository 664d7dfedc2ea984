"""How much memory each stage needs: whether this machine can measure its pace."""

from collections.abc import Iterator

import jax

from rft_jax.config import (
    EvaluateStage,
    MeshConfig,
    PipelineConfig,
    SampleConfig,
    SampleStage,
    TrainConfig,
    TrainStage,
)
from rft_jax.model import lora
from rft_jax.model.architecture import LlamaConfig
from rft_jax.pipeline import stage_settings
from rft_jax.pipeline.estimate import architectures
from rft_jax.pipeline.expansion import expanded
from rft_jax.sample import settings
from rft_jax.train.assemble import compute_dtype

_WITH_STATE = 24  # bytes per parameter: weights, gradients and moments in fp32, and what a step makes beside them
_WITH_CACHE = 1.2  # of a model's weights: they, and a small cache


def needed(config: PipelineConfig) -> Iterator[tuple[str, float]]:
    """Yields the names of the stages that are measured, and about how many bytes each needs on all of them together.

    Raises:
        UserError: a model folder is missing or wrong.
    """
    config = expanded(config).config
    model = architectures(config)
    for stage in config.stages:
        match stage:
            case TrainStage():
                yield stage.name, _of_training(stage_settings.training(config, stage), model(stage.model))
            case SampleStage():
                yield stage.name, _of_sampling(stage_settings.sampling(config, stage), model(stage.model))
            case EvaluateStage():
                yield stage.name, _of_sampling(stage_settings.evaluation(config, stage), model(stage.model))
            case _:
                pass


def _of_training(config: TrainConfig, model: LlamaConfig) -> float:
    need = _WITH_STATE * model.parameters
    if adapters := lora.chosen(config.lora, model):
        need = compute_dtype(config).itemsize * model.parameters + _WITH_STATE * adapters.parameters(model)
    return float(need * _replicas(config.mesh))


def _of_sampling(config: SampleConfig, model: LlamaConfig) -> float:
    return _WITH_CACHE * settings.compute_dtype(config.compute).itemsize * model.parameters * _replicas(config.mesh)


def _replicas(mesh: MeshConfig) -> int:
    """Returns how many times the devices together hold the model; a mesh that does not fit them is refused later."""
    return mesh.data if mesh.data > 0 else max(1, jax.device_count() // (mesh.fsdp * mesh.tensor))
