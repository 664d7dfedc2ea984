"""A GPU kernel that attends rows to pages of a pool: it reads each page in use once, and writes the sums only.

One program per row, key-value head and block of queries walks through the row's pages, first to last, with the running
maximum of arXiv 2205.14135. Written for Pallas' Triton back end.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

_Sums = tuple[jax.Array, jax.Array, jax.Array]  # a Partial's top, weight and context, of a block of queries

_LEAST = 16  # rows and columns of a matrix product in Triton
MOST_QUERIES = 64  # per program: more do not fit into registers beside their contexts


def supports(keys: jax.Array) -> bool:
    """Returns whether the kernel can read a pool [M, K, C, H]: sides are powers of two, and offsets fit into int32."""
    sides = keys.shape[2:]
    return all(side >= _LEAST and side & (side - 1) == 0 for side in sides) and keys.size < 2**31


def walk(
    query: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    valid: jax.Array,
    pages: jax.Array,
    current: tuple[jax.Array, jax.Array, jax.Array] | None,
    *,
    empty: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Attends each row to its pages.

    Args:
        query: [X, K, Q, H]. keys, values: [M, K, C, H].
        valid: bool [M, C], the positions of each page to see.
        pages: int32 [X, E], the pages of each row, first to last; M or more behind them.
        current: keys and values [X, K, C, H] of one more page per row, and bool [X, C], the positions of it to see.
        empty: the score of a masked position.

    Returns:
        The arrays of a `Partial`.
    """
    rows, kv_heads, queries, _ = query.shape
    block = min(MOST_QUERIES, max(_LEAST, pl.next_power_of_2(queries)))
    sums = [jax.ShapeDtypeStruct(query.shape[:3], jnp.float32)] * 2
    call = functools.partial(
        pl.pallas_call,
        functools.partial(_kernel, block=block, empty=empty),
        # Rounded as the attention will be: in fp32 a step would write and read twice as much beside the pages.
        out_shape=(*sums, jax.ShapeDtypeStruct(query.shape, query.dtype)),
        grid=(rows, kv_heads, pl.cdiv(queries, block)),
        compiler_params=triton.CompilerParams(num_warps=2 if block == _LEAST else 4, num_stages=2),
        name="walk",
    )
    depths = jnp.sum(pages < len(keys), axis=1, dtype=jnp.int32)
    operands = [query, pages, depths, keys, values, valid.astype(jnp.int8)]
    if current is not None:
        operands += [*current[:2], current[2].astype(jnp.int8)]
    top, weight, context = jax.lax.platform_dependent(*operands, cpu=call(interpret=True), default=call())
    return top, weight, context.astype(jnp.float32)


def _kernel(query: Any, pages: Any, depths: Any, *refs: Any, block: int, empty: float) -> None:
    *pools, top, weight, context = refs
    row, head = pl.program_id(0), pl.program_id(1)
    # Past the last query the last one is computed, and written, again: the same numbers to the same place.
    at = jnp.minimum(pl.program_id(2) * block + jnp.arange(block), query.shape[2] - 1)
    asked, scale = query[row, head, at, :], query.shape[3] ** -0.5

    def add(keys: Any, values: Any, valid: Any, page: jax.Array, sums: _Sums) -> _Sums:
        old_top, old_weight, old_context = sums
        seen = (valid[page, :] != 0)[None]
        scores = jnp.where(seen, _dot(asked, keys[page, head].T) * scale, empty)
        new_top = jnp.maximum(old_top, jnp.max(scores, axis=1))
        weights = jnp.where(seen, jnp.exp(scores - new_top[:, None]), 0.0)
        share = jnp.exp(old_top - new_top)
        found = values[page, head]
        new_context = old_context * share[:, None] + _dot(weights.astype(found.dtype), found)
        return new_top, old_weight * share + jnp.sum(weights, axis=1), new_context

    nothing = jnp.full(block, empty, jnp.float32), jnp.zeros(block, jnp.float32)
    sums = (*nothing, jnp.zeros((block, query.shape[3]), jnp.float32))
    keys, values, valid = pools[:3]
    sums = jax.lax.fori_loop(0, depths[row], lambda i, sums: add(keys, values, valid, pages[row, i], sums), sums)
    if pools[3:]:
        keys, values, valid = pools[3:]
        sums = add(keys, values, valid, row, sums)
    top[row, head, at], weight[row, head, at] = sums[:2]
    context[row, head, at, :] = sums[2].astype(context.dtype)


def _dot(left: jax.Array, right: jax.Array) -> jax.Array:
    exact = jax.lax.Precision.HIGHEST if left.dtype == jnp.float32 else None
    return jnp.dot(left, right, preferred_element_type=jnp.float32, precision=exact)
