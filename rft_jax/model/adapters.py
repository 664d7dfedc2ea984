"""Low-rank adapters (LoRA, arXiv 2106.09685): beside a frozen weight W, A and B are trained, and W + scale·BA applied.

The sum is never made in training: in bf16 it would round most of BA away, and its gradient would be as large, and take
as long, as that of W. A layer adds (x·Aᵀ)·Bᵀ to x·Wᵀ instead (`layers.Layer`).
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.lora import PROJECTIONS, Lora, sides


class Adapters(nnx.Module):
    """The adapters of a model with stacked layers.

    Attributes:
        scale: of what they add.
        query_a: [L, U, D]. query_b: [L, N, H, U]. And so on for each weight that has one: A has its input axes, B its
            output axes.
    """

    def __init__(self, lora: Lora, config: LlamaConfig, key: jax.Array) -> None:
        """Makes fp32 adapters that add nothing yet: A is random, as PEFT has it, and B is 0."""
        self.scale = lora.alpha / lora.rank
        for number, role in enumerate(PROJECTIONS):  # so that a weight's numbers do not depend on the others'
            if role not in lora.roles:
                continue
            outputs, inputs = sides(role, config)
            shape = (config.layers, lora.rank, *inputs)
            bound = 1 / math.sqrt(math.prod(inputs))
            a = jax.random.uniform(jax.random.fold_in(key, number), shape, jnp.float32, -bound, bound)
            setattr(self, f"{role}_a", nnx.Param(a))
            setattr(self, f"{role}_b", nnx.Param(jnp.zeros((config.layers, *outputs, lora.rank), jnp.float32)))

    def of(self, role: str) -> tuple[jax.Array, jax.Array] | None:
        """Returns A and B of a weight, or None if it has no adapter; without L inside a scan over the layers."""
        if not hasattr(self, f"{role}_a"):
            return None
        return getattr(self, f"{role}_a")[...], getattr(self, f"{role}_b")[...]


def merged(weight: jax.Array, a: jax.Array, b: jax.Array, scale: float | jax.Array) -> jax.Array:
    """Returns W + scale·BA in fp32: W [outputs, inputs], A [U, inputs], B [outputs, U]; a side may have two axes."""
    product = jax.lax.dot_general(b, a, (((b.ndim - 1,), (0,)), ((), ())), precision=jax.lax.Precision.HIGHEST)
    return weight.astype(jnp.float32) + scale * product
