"""Attention over whole sequences, for training and prefill; decoding has its own (sample/kv/paged_attention.py).

Shapes use the project's alphabet (README): B rows, T queries, N query heads, K key-value heads, H head width.
"""

import math
from collections.abc import Callable
from typing import assert_never

import jax
import jax.numpy as jnp

from rft_jax.model import flash, partition

Implementation = flash.Implementation

_QUERY_BLOCK = 128  # queries per block of plain causal attention


def segment_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    segments: jax.Array,
    positions: jax.Array,
    *,
    window: int | None,
    implementation: Implementation = "xla",
) -> jax.Array:
    """Causal attention within segments.

    Args:
        query: [B, T, N, H]. key, value: [B, T, K, H].
        segments: int32 [B, T]; a token attends to itself and to earlier tokens of the same segment. Padding is a
            segment like any other (0 by convention): nobody else sees it, and no row of the softmax is ever empty.
            What is numbered flash.SHARED is seen by all that follows in the row (not by the splash kernel).
        positions: int32 [B, T], counted in each sequence, and on from what is shared before it.
        window: how many positions a token sees, its own included; None: all before it.
        implementation: xla, or one of the kernels in flash.py.

    Returns:
        [B, T, N, H].
    """
    if window is not None and window >= segments.shape[1]:
        window = None  # no token has so many before it

    def attend(
        query: jax.Array, key: jax.Array, value: jax.Array, segments: jax.Array, positions: jax.Array
    ) -> tuple[jax.Array]:
        match implementation:
            case "xla":
                return (_causal(query, key, value, flash.visible(segments, positions, window)),)
            case "cudnn":
                return (flash.cudnn(query, key, value, flash.visible(segments, positions, window)),)
            case "splash":
                return (flash.splash(query, key, value, segments, window),)
            case other:
                assert_never(other)

    heads = query.shape[2]
    key, value = (repeat_heads(x, heads) for x in (key, value))
    operands = ("heads", query), ("heads", key), ("heads", value), ("tokens", segments), ("tokens", positions)
    # JAX cannot tell over which axes the result of a kernel varies.
    return per_device(attend, *operands, like=(0,), check_vma=implementation == "xla")[0]


def _causal(query: jax.Array, key: jax.Array, value: jax.Array, seen: jax.Array) -> jax.Array:
    """Attends blocks of queries to the keys up to their end, so nearly half of the scores are never computed."""
    length = seen.shape[1]
    seen &= jnp.tri(length, dtype=bool)[None]
    blocks = [(start, min(start + _QUERY_BLOCK, length)) for start in range(0, length, _QUERY_BLOCK)]
    return jnp.concatenate(
        [_dense(query[:, start:end], key[:, :end], value[:, :end], seen[:, start:end, :end]) for start, end in blocks],
        axis=1,
    )


def _dense(query: jax.Array, key: jax.Array, value: jax.Array, seen: jax.Array) -> jax.Array:
    """Plain attention with the scores in fp32; seen: bool [B, T, S], no row of it empty."""
    rows, length, heads, width = query.shape
    # Query heads that share a key-value head are adjacent.
    query = query.reshape(rows, length, key.shape[2], -1, width)
    scores = jnp.einsum("btkqh,bskh->bkqts", query, key, preferred_element_type=jnp.float32) * width**-0.5
    weights = jax.nn.softmax(jnp.where(seen[:, None, None], scores, -jnp.inf), axis=-1).astype(value.dtype)
    return jnp.einsum("bkqts,bskh->btkqh", weights, value).reshape(rows, length, heads, width)


def prefixed_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    prefix_key: jax.Array,
    prefix_value: jax.Array,
    segments: jax.Array,
    *,
    window: int | None,
) -> jax.Array:
    """Causal attention of rows that all continue the same prefix.

    Args:
        query: [B, T, N, H]. key, value: [B, T, K, H].
        prefix_key, prefix_value: [K, P, H], with `split_kv_heads` heads.
        segments: int32 [B, T]; a token attends to the prefix, and to earlier tokens of its own segment, which is one
            sequence that goes on from the prefix.
        window: as for `segment_attention`.

    Returns:
        [B, T, N, H].
    """

    def attend(query, key, value, segments, prefix_key, prefix_value):  # type: ignore[no-untyped-def]
        rows, length = segments.shape
        before = (x.swapaxes(0, 1) for x in (prefix_key, prefix_value))  # [P, K, H]
        before = (jnp.broadcast_to(x[None], (rows, *x.shape)) for x in before)
        key, value = (jnp.concatenate(pair, axis=1) for pair in zip(before, (key, value), strict=True))
        own = (segments[:, :, None] == segments[:, None, :]) & jnp.tri(length, dtype=bool)[None]
        seen = jnp.concatenate([jnp.ones((rows, length, prefix_key.shape[1]), bool), own], axis=2)
        if window is not None:  # token t stands at the column of its own key, which comes after the prefix
            seen &= ~jnp.tri(length, seen.shape[2], prefix_key.shape[1] - window, dtype=bool)[None]
        return (_dense(query, key, value, seen),)

    heads = query.shape[2]
    key, value = (repeat_heads(x, heads) for x in (key, value))
    operands = ("heads", query), ("heads", key), ("heads", value), ("tokens", segments)
    prefix = ("prefix", prefix_key), ("prefix", prefix_value)
    return per_device(attend, *operands, *prefix, like=(0,))[0]


def split_kv_heads(heads: int, kv_heads: int, tensor: int | None = None) -> int:
    """Returns how many key-value heads there must be, so that the mesh splits them as it splits the query heads.

    8 heads cannot be split over 16 devices, but 16 can, two of which are the same. `tensor` is the number of devices
    along that axis, None: of the mesh in context.
    """
    if tensor is None:
        mesh = jax.sharding.get_abstract_mesh()
        tensor = 1 if mesh.empty else mesh.shape["tensor"]
    needed = math.lcm(kv_heads, tensor)
    return needed if heads % needed == 0 else kv_heads


def repeat_heads(x: jax.Array, heads: int) -> jax.Array:
    """Repeats the heads of keys or values [B, T, K, H] up to `split_kv_heads`; `heads` is the number of query heads."""
    repeats = split_kv_heads(heads, x.shape[2]) // x.shape[2]
    return x if repeats == 1 else jnp.repeat(x, repeats, axis=2)


def per_device(
    attend: Callable[..., tuple[jax.Array, ...]],
    *operands: tuple[str | None, jax.Array],
    like: tuple[int, ...],
    check_vma: bool = True,
) -> tuple[jax.Array, ...]:
    """Runs `attend` on each device's own rows and heads; attention needs no communication.

    Args:
        attend: a function of the operands' local parts.
        operands: pairs of role in partition.TABLE (None: the same on all devices) and array.
        like: for each result the number of the operand that lies as it does.
        check_vma: as for `jax.shard_map`.
    """
    arrays = [x for _, x in operands]
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return attend(*arrays)
    specs = tuple(partition.P() if role is None else partition.spec(role, x.shape, mesh) for role, x in operands)
    arrays = [jax.reshard(x, spec) for x, spec in zip(arrays, specs, strict=True)]
    out_specs = tuple(specs[i] for i in like)
    return jax.shard_map(attend, in_specs=specs, out_specs=out_specs, check_vma=check_vma)(*arrays)
