"""Attention over keys and values that lie in pages, for decoding.

A pool of M pages of C steps each belongs, in any order, to X rows or prompts. Each page is multiplied where it lies by
its owner's query, so no key is ever gathered, and a step reads what the pool holds, not X times the longest. A page's
weights are relative to its owner's largest score, so the contributions of an owner's pages simply add up. The parts of
a row (prefix, prompt, history, current page) are merged by their maxima and weights (exactly, as in arXiv 2205.14135).

Shapes use the project's alphabet (README). Values are [M, K, C, H]; keys have one of two orders, named by their last
axes: "hc" lets both products run along the last axis, which is 2 to 10 times faster on CPU; "ch" is what XLA
wants on GPUs, where it would copy a pool in the other order at each call.
"""

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

KeyOrder = Literal["hc", "ch"]

EMPTY = -1e30  # the score of a masked position: finite, so that a row that sees nothing gives no NaN


@functools.partial(jax.tree_util.register_dataclass, data_fields=["owner", "pages"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class PageTable:
    """Which page of a pool is whose. On each device a page number of M or more stands for no page.

    Attributes:
        owner: int32 [M], the row or slot that each page belongs to; arbitrary for a free page.
        pages: int32 [X, E], the pages of each row or slot; no page where it has fewer than E.
    """

    owner: jax.Array
    pages: jax.Array


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
    """Converts keys between [..., C, H] and the given order; it is its own inverse."""
    return x if order == "ch" else x.swapaxes(-1, -2)


def dense(query: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array, order: KeyOrder) -> Partial:
    """Attends each row to its own keys.

    Args:
        query: [X, K, Q, H]. keys: [X, K, H, C] or [X, K, C, H]. values: [X, K, C, H].
        valid: bool [X, C], the positions to see.
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
    table: PageTable,
    order: KeyOrder,
) -> Partial:
    """Attends each row to its pages in a pool.

    Args:
        query: [X, K, Q, H]. keys: [M, K, H, C] or [M, K, C, H]. values: [M, K, C, H].
        valid: bool [M, C], the positions of each page to see.
        table: which page is whose.
        order: of the keys, "hc" or "ch".
    """
    scores = _scores(query.at[table.owner].get(mode="clip"), keys, valid, order)
    top = jnp.max(scores, axis=-1)
    columns = [table.pages[:, column] for column in range(table.pages.shape[1])]
    best = functools.reduce(jnp.maximum, (_gather(top, column, EMPTY) for column in columns))
    parts = _weigh(scores, best.at[table.owner].get(mode="clip"), values, valid)
    weight, context = (functools.reduce(jnp.add, (_gather(x, column, 0.0) for column in columns)) for x in parts)
    return Partial(best, weight, context)


def _scores(query: jax.Array, keys: jax.Array, valid: jax.Array, order: KeyOrder) -> jax.Array:
    scores = jnp.einsum(f"xkqh,xk{order}->xkqc", query, keys, preferred_element_type=jnp.float32)
    return jnp.where(valid[:, None, None, :], scores * query.shape[-1] ** -0.5, EMPTY)


def _weigh(scores: jax.Array, top: jax.Array, values: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the sums [X, K, Q] of exp(score - top), and [X, K, Q, H] of that times the values."""
    weights = jnp.where(valid[:, None, None, :], jnp.exp(scores - top[..., None]), 0.0)
    context = jnp.einsum("xkqc,xkch->xkqh", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    return jnp.sum(weights, axis=-1), context


def _gather(x: jax.Array, page: jax.Array, missing: float) -> jax.Array:
    """Returns x [M, ...] of one page per row, int32 [X]; `missing` where the row has no such page."""
    return x.at[page].get(mode="fill", fill_value=missing)


def shared(query: jax.Array, keys: jax.Array, values: jax.Array, order: KeyOrder) -> Partial:
    """Attends all rows to the same keys, [K, H, C] or [K, C, H] as `order` says, and values [K, C, H]."""
    scores = jnp.einsum(f"xkqh,k{order}->xkqc", query, keys, preferred_element_type=jnp.float32)
    scores = scores * query.shape[-1] ** -0.5
    top = jnp.max(scores, axis=-1)
    weights = jnp.exp(scores - top[..., None])
    context = jnp.einsum("xkqc,kch->xkqh", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    return Partial(top, jnp.sum(weights, axis=-1), context)


def merge(*parts: Partial) -> jax.Array:
    """Returns the attention [X, K, Q, H], fp32, over the keys of all parts; each row sees at least one key."""
    best = jnp.stack([part.top for part in parts]).max(axis=0)
    shares = [jnp.exp(part.top - best) for part in parts]
    weights = [share * part.weight for share, part in zip(shares, parts, strict=True)]
    contexts = [share[..., None] * part.context for share, part in zip(shares, parts, strict=True)]
    return functools.reduce(jnp.add, contexts) / functools.reduce(jnp.add, weights)[..., None]
