"""Attention over keys and values that lie in blocks, for decoding.

A pool of M blocks holds C slots each, in any order, each block owned by one of X rows. Every block is multiplied with
its owner's query where it lies, so no key is ever gathered, and what is read is what the pool holds, not rows × the
longest. The partial softmaxes of a row's blocks are then merged by their maxima and weights (exactly, as in arXiv
2205.14135).

Shapes beside the project's alphabet: X rows of the part, Q queries that share a key-value head, B blocks of a row at
most, M blocks in the pool, C slots of a block. Keys lie [M, K, H, C] and values [M, K, C, H]: both products then run
along the last axis, which on CPU is 2 to 10 times faster than the transposed orders.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

EMPTY = -1e30  # the score of what must not be seen: finite, so that rows that see nothing stay free of NaN


class Partial(NamedTuple):
    """Attention of each query to some of its keys, unnormalised.

    Attributes:
        top: fp32 [X, K, Q], the largest score; EMPTY where there was no key.
        weight: fp32 [X, K, Q], sum of exp(score - top).
        context: fp32 [X, K, Q, H], sum of exp(score - top) · value.
    """

    top: jax.Array
    weight: jax.Array
    context: jax.Array


def dense(query: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array) -> Partial:
    """Attends each row to its own keys.

    Args:
        query: [X, K, Q, H]. keys: [X, K, H, C]. values: [X, K, C, H].
        valid: bool [X, C], the slots to see.
    """
    scores = jnp.einsum("xkqh,xkhc->xkqc", query, keys, preferred_element_type=jnp.float32)
    scores = jnp.where(valid[:, None, None, :], scores * query.shape[-1] ** -0.5, EMPTY)
    top = jnp.max(scores, axis=-1)
    weights = jnp.where(valid[:, None, None, :], jnp.exp(scores - top[..., None]), 0.0)
    context = jnp.einsum("xkqc,xkch->xkqh", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    return Partial(top, jnp.sum(weights, axis=-1), context)


def paged(
    query: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array, owner: jax.Array, table: jax.Array
) -> Partial:
    """Attends each row to its blocks in a pool.

    Args:
        query: [X, K, Q, H]. keys: [M, K, H, C]. values: [M, K, C, H].
        valid: bool [M, C], the slots of each block to see.
        owner: int32 [M], the row of each block; of a block in no row's table any number.
        table: int32 [X, B], the blocks of each row; M or more where there are fewer than B.
    """
    blocks = dense(query.at[owner].get(mode="clip"), keys, values, valid)
    columns = [table[:, column] for column in range(table.shape[1])]
    best = functools.reduce(jnp.maximum, (_rows(blocks.top, column, EMPTY) for column in columns))
    # Scaled where the blocks lie: each exponential is then computed once, not for every number of the context.
    share = jnp.exp(blocks.top - best.at[owner].get(mode="clip"))
    weight, context = jax.lax.optimization_barrier((share * blocks.weight, share[..., None] * blocks.context))
    return Partial(
        best,
        functools.reduce(jnp.add, (_rows(weight, column, 0.0) for column in columns)),
        functools.reduce(jnp.add, (_rows(context, column, 0.0) for column in columns)),
    )


def _rows(x: jax.Array, index: jax.Array, missing: float) -> jax.Array:
    return x.at[index].get(mode="fill", fill_value=missing)


def shared(query: jax.Array, keys: jax.Array, values: jax.Array) -> Partial:
    """Attends all rows to the same keys [K, H, C] and values [K, C, H]."""
    scores = jnp.einsum("xkqh,khc->xkqc", query, keys, preferred_element_type=jnp.float32) * query.shape[-1] ** -0.5
    top = jnp.max(scores, axis=-1)
    weights = jnp.exp(scores - top[..., None])
    context = jnp.einsum("xkqc,kch->xkqh", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    return Partial(top, jnp.sum(weights, axis=-1), context)


def merge(*parts: Partial) -> jax.Array:
    """Returns the attention [X, K, Q, H], fp32, over the keys of all parts; at least one key must be there."""
    best = jnp.stack([part.top for part in parts]).max(axis=0)
    shares = [jnp.exp(part.top - best) for part in parts]
    weights = [share * part.weight for share, part in zip(shares, parts, strict=True)]
    contexts = [share[..., None] * part.context for share, part in zip(shares, parts, strict=True)]
    return functools.reduce(jnp.add, contexts) / functools.reduce(jnp.add, weights)[..., None]
