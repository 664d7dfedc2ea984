"""Rotary position embeddings (arXiv 2104.09864), in the half-split order of Hugging Face's checkpoints."""

import math
from typing import assert_never

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax.model.architecture import LinearScaling, Llama3Scaling, LlamaConfig


def frequencies(config: LlamaConfig) -> np.ndarray:
    """Returns the angle per position of each pair, fp32 [H/2], in radians."""
    exponents = np.arange(0, config.head_width, 2, dtype=np.float32) / config.head_width
    plain = (1.0 / config.rope_theta**exponents).astype(np.float32)
    match config.rope_scaling:
        case None:
            return plain
        case LinearScaling(factor):
            return plain / np.float32(factor)
        case Llama3Scaling() as scaling:
            return _llama3(plain, scaling)
        case other:
            assert_never(other)


def _llama3(plain: np.ndarray, scaling: Llama3Scaling) -> np.ndarray:
    turns = scaling.original_positions * plain / (2 * math.pi)  # turns of each pair within the original context
    kept = (turns - scaling.low_frequency_factor) / (scaling.high_frequency_factor - scaling.low_frequency_factor)
    kept = np.clip(kept, 0.0, 1.0)
    return (kept * plain + (1 - kept) * plain / scaling.factor).astype(np.float32)


def angles(config: LlamaConfig, positions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns cosine and sine, fp32 [B, T, 1, H/2], for positions int32 [B, T]; computed once, used by every layer."""
    angle = positions[:, :, None, None].astype(jnp.float32) * frequencies(config)[None, None, None, :]
    return jnp.cos(angle), jnp.sin(angle)


def rotate(x: jax.Array, rotary: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Turns each pair (x[i], x[i + H/2]) of [B, T, heads, H] by its angle."""
    # In fp32 also under bf16: at position 4,000 bf16 cosines are off by more than neighbouring positions differ.
    cosine, sine = rotary
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    return turned.astype(x.dtype)
