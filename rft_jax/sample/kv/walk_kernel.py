"""GPU kernels that attend rows to pages of a pool: they read each page in use once, and write the sums only.

A program walks through pages, first to last, with the running maximum of arXiv 2205.14135: those of one row, or those
of one prompt for all rows that share it. Written for Pallas' Triton back end.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

_Sums = tuple[jax.Array, jax.Array, jax.Array]  # a Partial's top, weight and context, of a block of queries
KeysValues = tuple[jax.Array, jax.Array]

_LEAST = 16  # rows and columns of a matrix product in Triton
MOST_QUERIES = 64  # per program: more do not fit into registers beside their contexts


def supports(keys: jax.Array) -> bool:
    """Returns whether the kernels can read a pool [M, K, C, H]: sides are powers of two, and offsets fit into int32."""
    sides = keys.shape[2:]
    return all(side >= _LEAST and side & (side - 1) == 0 for side in sides) and keys.size < 2**31


def walk_rows(
    query: jax.Array, history: KeysValues, pages: jax.Array, current: KeysValues, now: jax.Array, *, empty: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Attends each row to its own pages.

    Args:
        query: [B, K, Q, H].
        history: keys and values [M, K, C, H], of full pages.
        pages: int32 [B, E], the pages of each row, first to last; M or more behind them.
        current: keys and values [B, K, C, H] of one more page per row.
        now: int32 [], the last position of it to see.
        empty: the score of no key.

    Returns:
        The arrays of a `Partial`.
    """
    rows, kv_heads, queries, _ = query.shape
    block = _block(queries)
    depths = jnp.sum(pages < len(history[0]), axis=1, dtype=jnp.int32)
    operands = query, pages, depths, now[None], *history, *current
    grid = rows, kv_heads, pl.cdiv(queries, block)
    return _call(functools.partial(_rows_kernel, block=block, empty=empty), rows, query, grid, block, operands)


def walk_prompts(
    query: jax.Array,
    members: jax.Array,
    prompts: KeysValues,
    filled: jax.Array,
    pages: jax.Array,
    prefix: KeysValues | None,
    *,
    empty: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Attends the rows of each slot to its prompt. Their queries are read, and their sums written, where they lie.

    Args:
        query: [B, K, Q, H].
        members: int32 [slots, R], the rows that share each slot; B or more for an empty seat.
        prompts: keys and values [M, K, C, H].
        filled: int32 [M], tokens in each page.
        pages: int32 [slots, E], the pages of each slot, first to last; M or more behind them.
        prefix: keys and values [K, P, H] of tokens before all prompts.
        empty: the score of no key.

    Returns:
        The arrays of a `Partial`; what they hold for a row that no slot names is arbitrary, and may be NaN.
    """
    rows, kv_heads, queries, _ = query.shape
    slots, seats = members.shape
    block = _block(seats * queries)
    depths = jnp.sum(pages < len(filled), axis=1, dtype=jnp.int32)
    operands = query, members, pages, depths, filled, *prompts, *(prefix or ())
    grid = slots, kv_heads, pl.cdiv(seats * queries, block)
    # What is computed for empty seats goes to one more row, as stores here cannot be masked.
    kernel = functools.partial(_prompts_kernel, block=block, empty=empty)
    top, weight, context = _call(kernel, rows + 1, query, grid, block, operands)
    return top[:rows], weight[:rows], context[:rows]


def _block(queries: int) -> int:
    return min(MOST_QUERIES, max(_LEAST, pl.next_power_of_2(queries)))


def _call(
    kernel: Callable[..., None],
    rows: int,
    query: jax.Array,
    grid: tuple[int, ...],
    block: int,
    operands: tuple[jax.Array, ...],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    shape = (rows, *query.shape[1:])
    sums = [jax.ShapeDtypeStruct(shape[:3], jnp.float32)] * 2
    call = functools.partial(
        pl.pallas_call,
        kernel,
        # Rounded as the attention will be: in fp32 a step would write and read twice as much beside the pages.
        out_shape=(*sums, jax.ShapeDtypeStruct(shape, query.dtype)),
        grid=grid,
        compiler_params=triton.CompilerParams(num_warps=2 if block == _LEAST else 4, num_stages=2),
        name="walk",
    )
    top, weight, context = jax.lax.platform_dependent(*operands, cpu=call(interpret=True), default=call())
    return top, weight, context.astype(jnp.float32)


def _rows_kernel(query: Any, pages: Any, depths: Any, now: Any, *refs: Any, block: int, empty: float) -> None:
    keys, values, current_keys, current_values, top, weight, context = refs
    row, head = pl.program_id(0), pl.program_id(1)
    # Past the last query the last one is computed, and written, again: the same numbers to the same place.
    at = jnp.minimum(pl.program_id(2) * block + jnp.arange(block), query.shape[2] - 1)
    asked, page_size = query[row, head, at, :], keys.shape[2]

    def add(number: jax.Array, sums: _Sums) -> _Sums:
        page = pages[row, number]
        return _add(asked, keys[page, head], values[page, head], page_size, sums, empty)

    sums = jax.lax.fori_loop(0, depths[row], add, _nothing(asked, empty))
    sums = _add(asked, current_keys[row, head], current_values[row, head], now[0] + 1, sums, empty)
    top[row, head, at], weight[row, head, at] = sums[:2]
    context[row, head, at, :] = sums[2].astype(context.dtype)


def _prompts_kernel(
    query: Any, members: Any, pages: Any, depths: Any, filled: Any, *refs: Any, block: int, empty: float
) -> None:
    keys, values, *prefix, top, weight, context = refs
    slot, head = pl.program_id(0), pl.program_id(1)
    rows, _, queries, _ = query.shape
    at = pl.program_id(2) * block + jnp.arange(block)  # of the slot's seats × queries
    seat, which = at // queries, at % queries
    row = members[slot, jnp.minimum(seat, members.shape[1] - 1)]
    row = jnp.where(seat < members.shape[1], jnp.minimum(row, rows), rows)
    anybody = jnp.max((row < rows).astype(jnp.int32))
    asked, page_size = query[jnp.minimum(row, rows - 1), head, which, :], keys.shape[2]
    sums = _nothing(asked, empty)

    if prefix:
        length = prefix[0].shape[1]

        def add_prefix(number: jax.Array, sums: _Sums) -> _Sums:
            left = length - number * page_size
            # Past the last token the last one is read again, and not seen.
            here = number * page_size + jnp.minimum(jnp.arange(page_size), left - 1)
            return _add(asked, prefix[0][head, here, :], prefix[1][head, here, :], left, sums, empty)

        sums = jax.lax.fori_loop(0, anybody * pl.cdiv(length, page_size), add_prefix, sums)

    def add(number: jax.Array, sums: _Sums) -> _Sums:
        page = pages[slot, number]
        return _add(asked, keys[page, head], values[page, head], filled[page], sums, empty)

    sums = jax.lax.fori_loop(0, anybody * depths[slot], add, sums)
    top[row, head, which], weight[row, head, which] = sums[:2]
    context[row, head, which, :] = sums[2].astype(context.dtype)


def _nothing(asked: jax.Array, empty: float) -> _Sums:
    top = jnp.full(len(asked), empty, jnp.float32)
    return top, jnp.zeros_like(top), jnp.zeros(asked.shape, jnp.float32)


def _add(
    asked: jax.Array, keys: jax.Array, values: jax.Array, count: jax.Array | int, sums: _Sums, empty: float
) -> _Sums:
    """Adds the first `count` keys and values of a page [C, H] to the sums of queries [Q, H]."""
    old_top, old_weight, old_context = sums
    seen = (jnp.arange(len(keys)) < count)[None]
    scores = jnp.where(seen, _dot(asked, keys.T) * asked.shape[1] ** -0.5, empty)
    new_top = jnp.maximum(old_top, jnp.max(scores, axis=1))
    weights = jnp.where(seen, jnp.exp(scores - new_top[:, None]), 0.0)
    share = jnp.exp(old_top - new_top)
    new_context = old_context * share[:, None] + _dot(weights.astype(values.dtype), values)
    return new_top, old_weight * share + jnp.sum(weights, axis=1), new_context


def _dot(left: jax.Array, right: jax.Array) -> jax.Array:
    exact = jax.lax.Precision.HIGHEST if left.dtype == jnp.float32 else None
    return jnp.dot(left, right, preferred_element_type=jnp.float32, precision=exact)
