"""GPU kernels that attend rows to pages of pools: they read each page in use once, and write the sums only.

A program walks through pages, first to last, with the running maximum of arXiv 2205.14135: those of one prompt for all
rows that share it, or those of one row. Written for Pallas' Triton back end.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from rft_jax.sample.kv.tables import OwnPages, SharedPages

_Sums = tuple[jax.Array, jax.Array, jax.Array]  # a Partial's top, weight and context, of a block of queries

_LEAST = 16  # rows and columns of a matrix product in Triton
MOST_QUERIES = 64  # per program: more do not fit into registers beside their contexts


def supports(keys: jax.Array) -> bool:
    """Returns whether the kernels can read a pool [M, K, C, H]: sides are powers of two, and offsets fit into int32."""
    sides = keys.shape[2:]
    return all(side >= _LEAST and side & (side - 1) == 0 for side in sides) and keys.size < 2**31


def attend(query: jax.Array, own: OwnPages, shared: SharedPages, *, empty: float) -> jax.Array:
    """Attends each row to its slot's prompt, its history and its current page.

    One kernel attends the rows of each slot to the prompt, whose pages it reads once for all of them; queries are read,
    and sums written, where the rows lie. A second one goes on from these sums through each row's own pages.

    Args:
        query: [B, K, Q, H].
        own, shared: the pages, keys [.., C, H].
        empty: the score of no key.

    Returns:
        The attention, [B, K, Q, H], in the query's dtype.
    """
    (rows, kv_heads, queries, width), (slots, seats) = query.shape, shared.members.shape
    # What is computed for empty seats goes to one more row, as stores here cannot be masked.
    shape = rows + 1, kv_heads, queries
    # Contexts between the kernels are rounded as the attention will be: fp32 would be twice as much to move.
    sums = (*[jax.ShapeDtypeStruct(shape, jnp.float32)] * 2, jax.ShapeDtypeStruct((*shape, width), query.dtype))
    table = shared.table.pages, jnp.sum(shared.table.pages < len(shared.filled), axis=1, dtype=jnp.int32)
    operands = query, shared.members, *table, shared.filled, *shared.prompts, *(shared.prefix or ())
    prompts = _call(_prompts_kernel, (slots, kv_heads), seats * queries, empty, sums, operands)

    table = own.table.pages, jnp.sum(own.table.pages < len(own.history[0]), axis=1, dtype=jnp.int32)
    seated = (shared.seats < slots * seats).astype(jnp.int32)
    operands = query, *table, own.columns, seated, *own.history, *own.current, *prompts
    context = jax.ShapeDtypeStruct(query.shape, query.dtype)
    return _call(_rows_kernel, (rows, kv_heads), queries, empty, context, operands)


def _call(
    kernel: Callable[..., None],
    grid: tuple[int, int],
    queries: int,
    empty: float,
    results: Any,
    operands: tuple[jax.Array, ...],
) -> Any:
    """Runs a kernel for each point of a grid and block of queries."""
    block = min(MOST_QUERIES, max(_LEAST, pl.next_power_of_2(queries)))
    call = functools.partial(
        pl.pallas_call,
        functools.partial(kernel, block=block, empty=empty),
        out_shape=results,
        grid=(*grid, pl.cdiv(queries, block)),
        compiler_params=triton.CompilerParams(num_warps=2 if block == _LEAST else 4, num_stages=2),
        name="walk",
    )
    return jax.lax.platform_dependent(*operands, cpu=call(interpret=True), default=call())


def _rows_kernel(
    query: Any, pages: Any, depths: Any, columns: Any, seated: Any, *refs: Any, block: int, empty: float
) -> None:
    keys, values, current_keys, current_values, prompt_top, prompt_weight, prompt_context, context = refs
    row, head = pl.program_id(0), pl.program_id(1)
    # Past the last query the last one is computed, and written, again: the same numbers to the same place.
    at = jnp.minimum(pl.program_id(2) * block + jnp.arange(block), query.shape[2] - 1)
    asked, page_size = query[row, head, at, :], keys.shape[2]
    seen = seated[row] != 0
    nothing = _nothing(asked, empty)
    before = prompt_top[row, head, at], prompt_weight[row, head, at], prompt_context[row, head, at, :]
    sums = tuple(jnp.where(seen, x.astype(jnp.float32), none) for x, none in zip(before, nothing, strict=True))

    def add(number: jax.Array, sums: _Sums) -> _Sums:
        page = pages[row, number]
        return _add(asked, keys[page, head], values[page, head], page_size, sums, empty)

    sums = jax.lax.fori_loop(0, depths[row], add, sums)
    _, weight, found = _add(asked, current_keys[row, head], current_values[row, head], columns[row] + 1, sums, empty)
    context[row, head, at, :] = (found / weight[:, None]).astype(context.dtype)


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
