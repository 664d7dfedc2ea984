"""Attention: one full form for training and prefill, one two-part form for decoding.

Shapes use the project's alphabet (README): B rows, G problems, W samples of a problem, T queries, S cache slots, P prompt
slots, N query heads, K key-value heads, H head width.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rft_jax.model import partition

Implementation = str  # "xla", "cudnn"


def segment_attention(
    query: jax.Array, key: jax.Array, value: jax.Array, segments: jax.Array, implementation: Implementation = "xla"
) -> jax.Array:
    """Causal attention within segments.

    Args:
        query: [B, T, N, H]. key, value: [B, T, K, H].
        segments: int32 [B, T]; a token attends to itself and to earlier tokens of the same segment. Padding is a segment
            like any other (0 by convention): nobody else sees it, and no row of the softmax is ever empty.
        implementation: a name that `jax.nn.dot_product_attention` knows.

    Returns:
        [B, T, N, H].
    """

    def attend(query: jax.Array, key: jax.Array, value: jax.Array, segments: jax.Array) -> jax.Array:
        same = segments[:, None, :, None] == segments[:, None, None, :]  # [B, 1, T, T]
        return jax.nn.dot_product_attention(
            query, key, value, mask=same, is_causal=True, implementation=implementation
        )  # fmt: skip

    return _per_device(attend, ("heads", query), ("heads", key), ("heads", value), ("tokens", segments))


def two_part_attention(
    query: jax.Array,
    prompt: tuple[jax.Array, jax.Array],
    prompt_lengths: jax.Array,
    suffix: tuple[jax.Array, jax.Array],
    suffix_length: jax.Array,
) -> jax.Array:
    """Attention of W samples of each problem to their common prompt and each to its own suffix.

    The prompt's keys are read once for all W samples, as a dense product; the two softmaxes are merged by their
    log-sum-exp, which is exact.

    Args:
        query: [G, W, N, H], one new token a sample.
        prompt: keys and values [G, P, K, H].
        prompt_lengths: int32 [G], slots that hold the prompt (from slot 0).
        suffix: keys and values [G, W, S, K, H].
        suffix_length: int32 [], slots that hold the suffix, the new token included; at least 1.

    Returns:
        [G, W, N, H].
    """

    def attend(query, prompt_key, prompt_value, lengths, suffix_key, suffix_value, suffix_length):  # type: ignore[no-untyped-def]
        problems, samples, heads, width = query.shape
        rows = problems * samples
        slots, kv_heads = suffix_key.shape[2:4]
        common, common_weight = jax.nn.dot_product_attention(
            query, prompt_key, prompt_value, key_value_seq_lengths=lengths, return_residual=True
        )
        own, own_weight = jax.nn.dot_product_attention(
            query.reshape(rows, 1, heads, width),
            suffix_key.reshape(rows, slots, kv_heads, width),
            suffix_value.reshape(rows, slots, kv_heads, width),
            key_value_seq_lengths=jnp.full((rows,), suffix_length),
            return_residual=True,
        )
        own_weight = own_weight.reshape(common_weight.shape)
        share = jax.nn.sigmoid(common_weight - own_weight)[..., None].astype(jnp.float32)
        merged = share * common.astype(jnp.float32) + (1 - share) * own.reshape(query.shape).astype(jnp.float32)
        return merged.astype(query.dtype)

    return _per_device(
        attend,
        ("heads", query),
        ("prompt_cache", prompt[0]),
        ("prompt_cache", prompt[1]),
        ("lengths", prompt_lengths),
        ("suffix_cache", suffix[0]),
        ("suffix_cache", suffix[1]),
        (None, suffix_length),
    )


def _per_device(attend: Callable[..., jax.Array], *operands: tuple[str | None, jax.Array]) -> jax.Array:
    """Runs `attend` on each device's own rows and heads; attention needs no communication. The result is like the first."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return attend(*(x for _, x in operands))
    arrays = [_with_enough_heads(role, x, operands[0][1].shape[2]) for role, x in operands]
    specs = tuple(
        partition.P() if role is None else partition.spec(role, x.shape, mesh)
        for (role, _), x in zip(operands, arrays, strict=True)
    )
    arrays = [jax.reshard(x, spec) for x, spec in zip(arrays, specs, strict=True)]
    return jax.shard_map(attend, in_specs=specs, out_specs=specs[0])(*arrays)


def _with_enough_heads(role: str | None, x: jax.Array, heads: int) -> jax.Array:
    """Repeats key-value heads up to the number of query heads when the query heads are split and these cannot be."""
    if role not in ("heads", "prompt_cache", "suffix_cache"):
        return x
    tensor = jax.sharding.get_abstract_mesh().shape["tensor"]
    kv_heads = x.shape[-2]
    if kv_heads % tensor == 0 or heads % tensor:
        return x
    return jnp.repeat(x, heads // kv_heads, axis=-2)
