"""Moving the rows' full current pages to the history."""

import dataclasses

import jax
import jax.numpy as jnp

from rft_jax.model.attention import per_device
from rft_jax.sample.kv.pages import Cache
from rft_jax.sample.kv.tables import PageTable


def flush(cache: Cache, live: jax.Array, full: jax.Array, age: jax.Array) -> tuple[Cache, jax.Array]:
    """Moves full current pages of live rows to their history, and frees the pages of the other rows.

    Args:
        cache: donate it.
        live: bool [B], the rows whose sequence goes on.
        full: bool [B], the rows whose current page is full.
        age: int32 [B], priority: where pages are short, the rows with the largest age keep theirs; of equal ones, the
            first.

    Returns:
        The cache, and bool [B], the live rows that have lost all their pages. Only younger rows lose pages to older
        ones, so the oldest row always goes on: a pool has room for any one row (`CacheSizes`).
    """
    operands = [
        (role, x)
        for layer in cache.layers
        for role, x in [*(("pages", x) for x in layer.current), *(("pages", x) for x in layer.history)]
    ]
    owner, pages, reach, depth, lost, *moved = per_device(
        _flush_on_device,
        ("lengths", cache.history.owner),
        ("tokens", cache.history.pages),
        ("lengths", cache.history.reach),
        ("lengths", cache.history.depth),
        ("lengths", live),
        ("lengths", full),
        ("lengths", age),
        *operands,
        like=(0, 1, 2, 3, 4, *(7 + i for i in range(len(operands)) if i % 4 >= 2)),
    )
    pairs = zip(moved[0::2], moved[1::2], strict=True)
    layers = (dataclasses.replace(layer, history=pair) for layer, pair in zip(cache.layers, pairs, strict=True))
    history = PageTable(owner, pages, reach, depth)
    return dataclasses.replace(cache, layers=tuple(layers), history=history), lost


def _flush_on_device(owner, pages, _reach, _depth, live, full, age, *arrays):  # type: ignore[no-untyped-def]
    """Gives each live row with a full page a free one, and copies it there; one device's part."""
    rows, pool = len(live), len(owner)
    no_page = pool
    numbers = jnp.arange(rows, dtype=jnp.int32)
    pages = jnp.where(live[:, None], pages, no_page)
    # From the oldest to the youngest row, those stay that have room together.
    queue = jnp.argsort(jnp.where(live, -age, 1))
    wanted = jnp.sum(pages < no_page, axis=1) + full.astype(jnp.int32)
    stays = live & jnp.zeros(rows, bool).at[queue].set(jnp.cumsum(wanted[queue]) <= pool)
    lost = live & ~stays
    pages = jnp.where(lost[:, None], no_page, pages)
    # The n-th row that needs one gets the n-th free page.
    needs = stays & full
    used = jnp.zeros(pool, bool).at[pages].set(True, mode="drop")
    free = jnp.nonzero(~used, size=rows, fill_value=no_page)[0].astype(jnp.int32)
    page = jnp.where(needs, free[jnp.cumsum(needs.astype(jnp.int32)) - 1], no_page)
    count = jnp.sum(pages < no_page, axis=1)
    pages = pages.at[numbers, jnp.where(page < no_page, count, pages.shape[1])].set(page, mode="drop")
    reach = jnp.max(jnp.where(pages < no_page, pages + 1, 0))[None]
    depth = jnp.max(count + (page < no_page).astype(count.dtype))[None]
    target = jnp.where(page < no_page, page, no_page + numbers)  # all different, so that the writes need no order

    def moved(pool: jax.Array, rows: jax.Array) -> jax.Array:
        return pool.at[target].set(rows, mode="drop", unique_indices=True)

    written = []
    for keys, values, history_keys, history_values in zip(*(arrays[i::4] for i in range(4)), strict=True):
        written += [moved(history_keys, keys), moved(history_values, values)]
    return (moved(owner, numbers), pages, reach, depth.astype(jnp.int32), lost, *written)
