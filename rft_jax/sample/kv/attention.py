"""Attention over keys and values that lie in blocks, for decoding.

A pool of M blocks holds C slots each, in any order, each block owned by one of X rows. Every block is multiplied with
its owner's query where it lies, so no key is ever gathered, and what is read is what the pool holds, not rows × the
longest. A block's weights are relative to its row's largest score, so what a row's blocks give is added; parts of a row
(prompt, history, ...) are merged by their maxima and weights (exactly, as in arXiv 2205.14135).

Shapes beside the project's alphabet: X rows of the part, Q queries that share a key-value head, B blocks of a row at
most, M blocks in the pool, C slots of a block. Values lie [M, K, C, H], keys in one of two orders, named by the letters
of their last axes: "hc" lets both products run along the last axis, which on CPU is 2 to 10 times faster; "ch" is what
XLA wants on GPUs, where it would copy a pool that lies otherwise at each call.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

KeyOrder = Literal["hc", "ch"]

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


def lay(x: jax.Array, order: KeyOrder) -> jax.Array:
    """Returns keys [..., C, H] in their order, and keys in their order as [..., C, H]."""
    return x if order == "ch" else x.swapaxes(-1, -2)


def dense(query: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array, order: KeyOrder) -> Partial:
    """Attends each row to its own keys.

    Args:
        query: [X, K, Q, H]. keys: [X, K, H, C] or [X, K, C, H]. values: [X, K, C, H].
        valid: bool [X, C], the slots to see.
        order: of the keys, "hc" or "ch".
    """
    scores = _scores(query, keys, valid, order)
    top = jnp.max(scores, axis=-1)
    return Partial(top, *_weigh(scores, top, values, valid))


def paged(
    query: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    valid: jax.Array,
    owner: jax.Array,
    table: jax.Array,
    order: KeyOrder,
) -> Partial:
    """Attends each row to its blocks in a pool.

    Args:
        query: [X, K, Q, H]. keys: [M, K, H, C] or [M, K, C, H]. values: [M, K, C, H].
        valid: bool [M, C], the slots of each block to see.
        owner: int32 [M], the row of each block; of a block in no row's table any number.
        table: int32 [X, B], the blocks of each row; M or more where there are fewer than B.
        order: of the keys, "hc" or "ch".
    """
    scores = _scores(query.at[owner].get(mode="clip"), keys, valid, order)
    top = jnp.max(scores, axis=-1)
    columns = [table[:, column] for column in range(table.shape[1])]
    best = functools.reduce(jnp.maximum, (_rows(top, column, EMPTY) for column in columns))
    # Each block's weights are relative to its row's largest score, so what the blocks give is simply added.
    parts = _weigh(scores, best.at[owner].get(mode="clip"), values, valid)
    weight, context = (functools.reduce(jnp.add, (_rows(x, column, 0.0) for column in columns)) for x in parts)
    return Partial(best, weight, context)


def _scores(query: jax.Array, keys: jax.Array, valid: jax.Array, order: KeyOrder) -> jax.Array:
    scores = jnp.einsum(f"xkqh,xk{order}->xkqc", query, keys, preferred_element_type=jnp.float32)
    return jnp.where(valid[:, None, None, :], scores * query.shape[-1] ** -0.5, EMPTY)


def _weigh(scores: jax.Array, top: jax.Array, values: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the sums [X, K, Q] of exp(score - top), and [X, K, Q, H] of that times the values."""
    weights = jnp.where(valid[:, None, None, :], jnp.exp(scores - top[..., None]), 0.0)
    context = jnp.einsum("xkqc,xkch->xkqh", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    return jnp.sum(weights, axis=-1), context


def _rows(x: jax.Array, index: jax.Array, missing: float) -> jax.Array:
    return x.at[index].get(mode="fill", fill_value=missing)


def shared(query: jax.Array, keys: jax.Array, values: jax.Array, order: KeyOrder) -> Partial:
    """Attends all rows to the same keys, [K, H, C] or [K, C, H] as `order` says, and values [K, C, H]."""
    scores = jnp.einsum(f"xkqh,k{order}->xkqc", query, keys, preferred_element_type=jnp.float32)
    scores = scores * query.shape[-1] ** -0.5
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
