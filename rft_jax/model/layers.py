"""One decoder layer and its parts. The caller passes the attention function to the layer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rft_jax.model import rope
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.partition import gathered, place, result

INITIAL_STDDEV = 0.02  # as in the published configurations (`initializer_range`)

# Takes (this layer's cache or None, query [B, T, N, H], key and value [B, T, K, H]) and returns the context
# [B, T, N, H] and the updated cache.
Attend = Callable[[Any, jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]


class Layer(nnx.Module):
    """A decoder layer.

    Weights keep the orientation of Hugging Face's checkpoints (outputs before inputs), so that loading and saving are a
    reshape of memory-mapped bytes and nothing is ever transposed; the matrix units take either orientation.

    Attributes:
        query: [N, H, D]. key, value: [K, H, D]. output: [D, N, H].
        gate, up: [F, D]. down: [D, F].
        attention_norm, mlp_norm: [D].
    """

    def __init__(self, config: LlamaConfig, key: jax.Array, dtype: jnp.dtype) -> None:
        self.config = config
        keys = iter(jax.random.split(key, 7))

        def normal(*shape: int) -> nnx.Param:
            return nnx.Param(INITIAL_STDDEV * jax.random.normal(next(keys), shape, dtype))

        width, head_width, mlp_width = config.width, config.head_width, config.mlp_width
        self.attention_norm = nnx.Param(jnp.ones(width, dtype))
        self.query = normal(config.heads, head_width, width)
        self.key = normal(config.kv_heads, head_width, width)
        self.value = normal(config.kv_heads, head_width, width)
        self.output = normal(width, config.heads, head_width)
        self.mlp_norm = nnx.Param(jnp.ones(width, dtype))
        self.gate = normal(mlp_width, width)
        self.up = normal(mlp_width, width)
        self.down = normal(width, mlp_width)

    def __call__(
        self, x: jax.Array, rotary: tuple[jax.Array, jax.Array], attend: Attend, cache: Any
    ) -> tuple[jax.Array, Any]:
        """Returns the residual stream [B, T, D] after this layer, and the layer's cache."""
        normed = rms_norm(x, self.attention_norm[...], self.config.rms_epsilon)
        query = _heads(normed, gathered(self.query[...], "query", x.dtype))
        key = _heads(normed, gathered(self.key[...], "key", x.dtype))
        value = _heads(normed, gathered(self.value[...], "value", x.dtype))
        context, cache = attend(cache, rope.rotate(query, rotary), rope.rotate(key, rotary), value)
        output = gathered(self.output[...], "output", x.dtype)
        context, output = context.reshape(*x.shape[:2], -1), output.reshape(len(output), -1)
        x = x + jnp.einsum("btf,df->btd", context, output, out_sharding=result("hidden", x.shape))
        return x + self._mlp(rms_norm(x, self.mlp_norm[...], self.config.rms_epsilon)), cache

    def _mlp(self, x: jax.Array) -> jax.Array:
        gate = jnp.einsum("btd,fd->btf", x, gathered(self.gate[...], "gate", x.dtype))
        up = jnp.einsum("btd,fd->btf", x, gathered(self.up[...], "up", x.dtype))
        down = gathered(self.down[...], "down", x.dtype)
        return jnp.einsum("btf,df->btd", jax.nn.silu(gate) * up, down, out_sharding=result("hidden", x.shape))


def _heads(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Returns the products [B, T, N, H] of [B, T, D] and a weight [N, H, D]."""
    # As a matrix: on CPU, XLA copies a weight of three axes each time that it multiplies by it.
    product = jnp.einsum("btd,fd->btf", x, weight.reshape(-1, weight.shape[-1]))
    return product.reshape(*x.shape[:2], *weight.shape[:2])


def rms_norm(x: jax.Array, scale: jax.Array, epsilon: float) -> jax.Array:
    """Root-mean-square norm (arXiv 1910.07467) over the last axis of [B, T, D]; the mean is taken in fp32."""
    exact = x.astype(jnp.float32)
    exact = exact * jax.lax.rsqrt(jnp.mean(exact * exact, axis=-1, keepdims=True) + epsilon)
    return scale[None, None, :].astype(x.dtype) * exact.astype(x.dtype)


def embed(table: jax.Array, tokens: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Returns the rows [B, T, D] of a table [V, D] for tokens int32 [B, T]."""
    hidden = (*tokens.shape, table.shape[1])
    return gathered(table, "embedding", dtype).at[tokens].get(out_sharding=result("hidden", hidden), mode="clip")


def unembed(x: jax.Array, table: jax.Array) -> jax.Array:
    """Returns the logits [B, T, V] of hidden states [B, T, D] under an output table [V, D], in x's dtype."""
    logits = jnp.einsum("btd,vd->btv", x, gathered(table, "head", x.dtype))
    return place(logits, "logits")
