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
        query_bias: [N, H]. key_bias, value_bias: [K, H]. output_bias: [D]. query_norm, key_norm: [H]. Each is None
            where the architecture has none.
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

        def optional(there: bool, start: Callable[..., jax.Array], *shape: int) -> nnx.Param | None:
            return nnx.Param(start(shape, dtype)) if there else None

        self.query_bias = optional(config.qkv_bias, jnp.zeros, config.heads, head_width)
        self.key_bias = optional(config.qkv_bias, jnp.zeros, config.kv_heads, head_width)
        self.value_bias = optional(config.qkv_bias, jnp.zeros, config.kv_heads, head_width)
        self.output_bias = optional(config.output_bias, jnp.zeros, width)
        self.query_norm = optional(config.query_key_norm, jnp.ones, head_width)
        self.key_norm = optional(config.query_key_norm, jnp.ones, head_width)
        self.mlp_norm = nnx.Param(jnp.ones(width, dtype))
        self.gate = normal(mlp_width, width)
        self.up = normal(mlp_width, width)
        self.down = normal(width, mlp_width)

    def __call__(
        self, x: jax.Array, rotary: tuple[jax.Array, jax.Array], attend: Attend, cache: Any
    ) -> tuple[jax.Array, Any]:
        """Returns the residual stream [B, T, D] after this layer, and the layer's cache."""
        normed = rms_norm(x, self.attention_norm[...], self.config.rms_epsilon)
        query = _heads(normed, self.query, self.query_bias, "query")
        key = _heads(normed, self.key, self.key_bias, "key")
        value = _heads(normed, self.value, self.value_bias, "value")
        if self.query_norm is not None and self.key_norm is not None:
            query = rms_norm(query, self.query_norm[...], self.config.rms_epsilon)
            key = rms_norm(key, self.key_norm[...], self.config.rms_epsilon)
        context, cache = attend(cache, rope.rotate(query, rotary), rope.rotate(key, rotary), value)
        output = gathered(self.output[...], "output", x.dtype)
        context, output = context.reshape(*x.shape[:2], -1), output.reshape(len(output), -1)
        attended = jnp.einsum("btf,df->btd", context, output, out_sharding=result("hidden", x.shape))
        x = x + _biased(attended, self.output_bias, "output_bias")
        return x + self._mlp(rms_norm(x, self.mlp_norm[...], self.config.rms_epsilon)), cache

    def _mlp(self, x: jax.Array) -> jax.Array:
        gate = jnp.einsum("btd,fd->btf", x, gathered(self.gate[...], "gate", x.dtype))
        up = jnp.einsum("btd,fd->btf", x, gathered(self.up[...], "up", x.dtype))
        down = gathered(self.down[...], "down", x.dtype)
        return jnp.einsum("btf,df->btd", jax.nn.silu(gate) * up, down, out_sharding=result("hidden", x.shape))


def _heads(x: jax.Array, parameter: nnx.Param, bias: nnx.Param | None, role: str) -> jax.Array:
    """Returns the products [B, T, N, H] of [B, T, D] and a weight [N, H, D], and a bias [N, H] added to them."""
    weight = gathered(parameter[...], role, x.dtype)
    # As a matrix: on CPU, XLA copies a weight of three axes each time that it multiplies by it.
    product = jnp.einsum("btd,fd->btf", x, weight.reshape(-1, weight.shape[-1]))
    return _biased(product.reshape(*x.shape[:2], *weight.shape[:2]), bias, f"{role}_bias")


def _biased(x: jax.Array, bias: nnx.Param | None, role: str) -> jax.Array:
    """Adds a bias to the last axes of [B, T, ...], if there is one."""
    return x if bias is None else x + gathered(bias[...], role, x.dtype)[None, None]


def rms_norm(x: jax.Array, scale: jax.Array, epsilon: float) -> jax.Array:
    """Root-mean-square norm (arXiv 1910.07467) over the last axis, for a scale of its size; the mean is in fp32."""
    exact = x.astype(jnp.float32)
    exact = exact * jax.lax.rsqrt(jnp.mean(exact * exact, axis=-1, keepdims=True) + epsilon)
    return jnp.expand_dims(scale, tuple(range(x.ndim - 1))).astype(x.dtype) * exact.astype(x.dtype)


def embed(table: jax.Array, tokens: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Returns the rows [B, T, D] of a table [V, D] for tokens int32 [B, T]."""
    hidden = (*tokens.shape, table.shape[1])
    return gathered(table, "embedding", dtype).at[tokens].get(out_sharding=result("hidden", hidden), mode="clip")


def unembed(x: jax.Array, table: jax.Array) -> jax.Array:
    """Returns the logits [B, T, V] of hidden states [B, T, D] under an output table [V, D], in x's dtype."""
    logits = jnp.einsum("btd,vd->btv", x, gathered(table, "head", x.dtype))
    return place(logits, "logits")
