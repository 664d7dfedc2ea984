"""Moving the blocks that are full to the history."""

import dataclasses

import jax
import jax.numpy as jnp

from rft_jax.model.attention import per_device
from rft_jax.sample.kv.pages import Cache


def flush(cache: Cache, live: jax.Array, begin: jax.Array, age: jax.Array) -> tuple[Cache, jax.Array]:
    """Moves each live row's current block to its history, and frees the blocks of the others.

    Args:
        cache: after C steps; donate it.
        live: bool [B], the rows whose sample goes on.
        begin: int32 [B], as for `step`; C for a sample that begins with the next step.
        age: int32 [B], when blocks are short, the rows with the largest go first.

    Returns:
        The cache, and bool [B], the live rows that found no free block and have lost their history.
    """
    operands = [
        (role, x)
        for layer in cache.layers
        for role, x in [*(("blocks", x) for x in layer.current), *(("blocks", x) for x in layer.history)]
    ]
    owner, first, table, lost, *moved = per_device(
        _flush_on_device,
        ("lengths", cache.owner),
        ("lengths", cache.first),
        ("tokens", cache.table),
        ("lengths", live),
        ("lengths", begin),
        ("lengths", age),
        *operands,
        like=(0, 1, 2, 3, *(6 + i for i in range(len(operands)) if i % 4 >= 2)),
    )
    pairs = zip(moved[0::2], moved[1::2], strict=True)
    layers = (dataclasses.replace(layer, history=pair) for layer, pair in zip(cache.layers, pairs, strict=True))
    return dataclasses.replace(cache, layers=tuple(layers), owner=owner, first=first, table=table), lost


def _flush_on_device(owner, first, table, live, begin, age, *arrays):  # type: ignore[no-untyped-def]
    rows, pool, size = len(live), len(owner), arrays[1].shape[-2]
    numbers = jnp.arange(rows, dtype=jnp.int32)
    table = jnp.where(live[:, None], table, pool)
    used = jnp.zeros(pool, bool).at[table].set(True, mode="drop")
    needed = live & (begin < size)
    queue = jnp.argsort(jnp.where(needed, -age, 1))
    rank = jnp.zeros(rows, jnp.int32).at[queue].set(numbers)
    free = jnp.nonzero(~used, size=rows, fill_value=pool)[0].astype(jnp.int32)
    block = jnp.where(needed, free[rank], pool)
    lost = needed & (block == pool)
    table = jnp.where(lost[:, None], pool, table)
    count = jnp.sum(table < pool, axis=1)
    table = table.at[numbers, jnp.where(block < pool, count, table.shape[1])].set(block, mode="drop")
    target = jnp.where(block < pool, block, pool + numbers)  # all different, so that the writes need no order

    def moved(pool: jax.Array, rows: jax.Array) -> jax.Array:
        return pool.at[target].set(rows, mode="drop", unique_indices=True)

    written = []
    for keys, values, history_keys, history_values in zip(*(arrays[i::4] for i in range(4)), strict=True):
        written += [moved(history_keys, keys), moved(history_values, values)]
    return (moved(owner, numbers), moved(first, begin), table, lost, *written)
