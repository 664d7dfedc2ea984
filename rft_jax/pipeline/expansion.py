"""What the pipeline adds to a config's stages: draw and comparison of the problems, controls, and replicates."""

from rft_jax.config import PipelineConfig
from rft_jax.pipeline.contamination import compared
from rft_jax.pipeline.controls import controlled
from rft_jax.pipeline.draw import drawn
from rft_jax.pipeline.replicates import Expanded, replicated


def expanded(config: PipelineConfig) -> Expanded:
    """Returns all stages that a config stands for, but the report."""
    return replicated(controlled(compared(drawn(config))))
