"""Decoding one token per row against the cache."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from rft_jax.model.attention import per_device, repeat_heads
from rft_jax.model.llama import Llama
from rft_jax.model.partition import place
from rft_jax.sample.kv import paged_attention
from rft_jax.sample.kv.paged_attention import KeyOrder, Reading, lay
from rft_jax.sample.kv.pages import Cache, LayerCache
from rft_jax.sample.kv.tables import OwnPages, PageTable, SharedPages, Window


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["prompts", "filled", "history", "positions", "members", "seats", "columns", "now"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class _Index:
    """Which positions of the cache each row sees; the same for every layer.

    Attributes:
        prompts, filled, history: as in `Cache`.
        positions, members, seats, columns, now: as for `step`.
    """

    prompts: PageTable
    filled: jax.Array
    history: PageTable
    positions: jax.Array
    members: jax.Array
    seats: jax.Array
    columns: jax.Array
    now: jax.Array


_TABLE_ROLES = ("lengths", "tokens", "lengths", "lengths")  # of PageTable's arrays, in their order
_INDEX_ROLES = (*_TABLE_ROLES, "lengths", *_TABLE_ROLES, "lengths", "tokens", "lengths", "lengths", "scalar")


def step(
    model: Llama,
    tokens: jax.Array,
    positions: jax.Array,
    cache: Cache,
    members: jax.Array,
    seats: jax.Array,
    columns: jax.Array,
    now: jax.Array,
    dtype: jnp.dtype,
) -> tuple[jax.Array, Cache]:
    """Reads one more token per row.

    Args:
        model: with unstacked layers.
        tokens: int32 [B].
        positions: int32 [B], of the tokens in their sequence (prefix, prompt and response).
        cache: donate it.
        members: int32 [slots, R], the rows that share each slot; B or more for an empty seat.
        seats: int32 [B], the index of each row in `members`, flattened; slots · R for a row without a seat.
        columns: int32 [B], the position in its current page that each row writes now: `now`, or half a page from it.
        now: int32 [], from 0 to C - 1.
        dtype: of the computation and the cache.

    Returns:
        Logits fp32 [B, V] of the token after these, and the cache.
    """
    index = _Index(cache.prompts, cache.filled, cache.history, positions, members, seats, columns, now)
    longest = _longest(cache)

    def attend(
        layer: LayerCache, query: jax.Array, key: jax.Array, value: jax.Array, *, window: int | None
    ) -> tuple[jax.Array, LayerCache]:
        key, value = (repeat_heads(x, query.shape[2]) for x in (key, value))
        if window is not None and window >= longest:
            window = None
        # In the order of _attend_on_device's arguments; the current page comes first among a layer's arrays.
        leaves, structure = jax.tree.flatten((query, key, value, layer, index))
        roles = ["heads"] * 3 + ["pages"] * 6 + ["prefix"] * len(layer.prefix or ()) + [*_INDEX_ROLES]

        def on_device(*leaves: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            parts = jax.tree.unflatten(structure, leaves)
            return _attend_on_device(*parts, window=window, order=cache.key_order, reading=cache.reading)

        # JAX cannot tell that the loops' first values differ between devices once the loops have run.
        context, keys, values = per_device(on_device, *zip(roles, leaves, strict=True), like=(0, 3, 4), check_vma=False)
        return context, dataclasses.replace(layer, current=(keys, values))

    tokens, positions = (place(x[:, None], "tokens") for x in (tokens, positions))
    hidden, layers = model.hidden(tokens, positions, attend, cache.layers, dtype=dtype)
    logits = place(model.logits(hidden)[:, 0], "whole_logits").astype(jnp.float32)
    return logits, dataclasses.replace(cache, layers=tuple(layers))


def _longest(cache: Cache) -> int:
    """Returns how many tokens the longest sequence can have that the cache has room for."""
    prefix = cache.layers[0].prefix
    pages = cache.prompts.pages.shape[1] + cache.history.pages.shape[1] + 1  # the current one
    return (0 if prefix is None else prefix[1].shape[1]) + pages * cache.page_size


def _attend_on_device(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    layer: LayerCache,
    index: _Index,
    *,
    window: int | None,
    order: KeyOrder,
    reading: Reading,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One step of attention, on one device's part of everything.

    Args:
        query: [B, 1, N, H]. key, value: [B, 1, K, H], of the token read now.
        layer: the cache of this layer.
        index: what each row sees of it.
        window: of the layer, as in `LlamaConfig`.
        order: of the keys, "hc" or "ch".
        reading: how a pool is read.

    Returns:
        The attention [B, 1, N, H], and keys and values of the current page with this token in it.
    """
    keys, values = layer.current
    (rows, _, heads, width), kv_heads = query.shape, values.shape[1]
    key, value = key.swapaxes(1, 2), value.swapaxes(1, 2)  # [B, K, 1, H]
    in_kernels = reading.way == "kernel" and order == "ch"
    keys = _write(keys, lay(key, order), index, axis=2 + order.index("c"), in_kernels=in_kernels)
    values = _write(values, value, index, axis=2, in_kernels=in_kernels)
    # Read by each part; XLA would compute it for each.
    query_rows = jax.lax.optimization_barrier(query.reshape(rows, kv_heads, heads // kv_heads, width))

    own = OwnPages((keys, values), index.columns, layer.history, index.history)
    shared = SharedPages(layer.prompts, index.filled, index.prompts, index.members, index.seats, layer.prefix)
    limit = None if window is None else Window(window, index.positions)
    context = paged_attention.attend(query_rows, own, shared, limit, order, reading)
    return context.reshape(query.shape).astype(query.dtype), keys, values


def _write(pages: jax.Array, new: jax.Array, index: _Index, axis: int, *, in_kernels: bool) -> jax.Array:
    """Writes each row's key or value, [B, K, 1, H] or [B, K, H, 1], to its column of its current page."""
    if in_kernels:
        # On GPUs one scatter, which moves a third of the bytes.
        rows = jnp.arange(len(pages))
        return pages.at[rows, :, index.columns].set(new[:, :, 0], unique_indices=True, mode="drop")
    # Elsewhere two updates of columns that all rows have in common: a scatter would go row by row.
    size = pages.shape[axis]
    for column in (index.now, (index.now + size // 2) % size):
        here = (index.columns == column)[:, None, None, None]
        old = jax.lax.dynamic_slice_in_dim(pages, column, 1, axis)
        pages = jax.lax.dynamic_update_slice_in_dim(pages, jnp.where(here, new, old), column, axis)
    return pages
