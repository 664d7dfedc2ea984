"""Decoding one token of each row against the cache."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from rft_jax.model.attention import per_device, repeat_heads
from rft_jax.model.llama import Llama
from rft_jax.model.partition import place
from rft_jax.sample.kv import attention
from rft_jax.sample.kv.attention import Partial, lay
from rft_jax.sample.kv.pages import Cache, LayerCache


def step(
    model: Llama,
    tokens: jax.Array,
    positions: jax.Array,
    cache: Cache,
    members: jax.Array,
    seats: jax.Array,
    begin: jax.Array,
    now: jax.Array,
    dtype: jnp.dtype,
) -> tuple[jax.Array, Cache]:
    """Reads one more token of each row.

    Args:
        model: with its layers apart.
        tokens: int32 [B].
        positions: int32 [B], of the tokens in their sequence (prefix, prompt and suffix).
        cache: donate it.
        members: int32 [slots, W], the rows that share each slot; B or more where there are fewer than W.
        seats: int32 [B], where each row stands in `members`, flattened.
        begin: int32 [B], the step of the current block at which the row's sample begins, 0 for an earlier one.
        now: int32 [], the step of the current block, from 0 to C - 1.
        dtype: of the computation and the cache.

    Returns:
        Logits [B, V] of the token after these, in fp32, and the cache.
    """
    positions = place(positions[:, None], "tokens")
    roles = ("heads", "heads", "heads", "blocks", "blocks", "blocks", "blocks", "blocks", "blocks")
    books = [
        ("lengths", cache.prompt_owner), ("lengths", cache.prompt_filled), ("tokens", cache.prompt_table),
        ("lengths", cache.owner), ("lengths", cache.first), ("tokens", cache.table),
        ("tokens", members), ("lengths", seats), ("lengths", begin), (None, now),
    ]  # fmt: skip

    def attend(layer: LayerCache, query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, LayerCache]:
        key, value = (repeat_heads(x, query.shape[2]) for x in (key, value))
        arrays = [query, key, value, *layer.current, *layer.history, *layer.prompts]
        prefix = [("shared_blocks", x) for x in layer.prefix or ()]
        context, keys, values = per_device(
            functools.partial(_attend_on_device, cache.key_order),
            *zip(roles, arrays, strict=True),
            *books,
            *prefix,
            like=(0, 3, 4),
        )
        return context, dataclasses.replace(layer, current=(keys, values))

    hidden, layers = model.hidden(place(tokens[:, None], "tokens"), positions, attend, cache.layers, dtype=dtype)
    logits = place(model.logits(hidden)[:, 0], "whole_logits").astype(jnp.float32)
    return logits, dataclasses.replace(cache, layers=tuple(layers))


def _attend_on_device(  # type: ignore[no-untyped-def]
    order, query, key, value, keys, values, history_keys, history_values, prompt_keys, prompt_values,
    prompt_owner, prompt_filled, prompt_table, owner, first, table, members, seats, begin, now, *prefix,
) -> tuple[jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """One step of attention, on one device's part of everything."""
    (rows, _, heads, width), (_, kv_heads, size, _) = query.shape, values.shape
    steps = jnp.arange(size, dtype=jnp.int32)
    key, value = key.swapaxes(1, 2), value.swapaxes(1, 2)  # [B, K, 1, H]
    keys = jax.lax.dynamic_update_slice_in_dim(keys, lay(key, order), now, axis=2 + order.index("c"))
    values = jax.lax.dynamic_update_slice_in_dim(values, value, now, axis=2)
    query_rows = query.reshape(rows, kv_heads, heads // kv_heads, width)

    seen = (steps[None] >= begin[:, None]) & (steps[None] <= now)
    parts = [attention.dense(query_rows, keys, values, seen, order)]
    seen = steps[None] >= first[:, None]
    parts += [attention.paged(query_rows, history_keys, history_values, seen, owner, table, order)]

    # The rows of a slot stand side by side as its queries, so that its prompt is read once for all of them.
    slots, together = members.shape
    queries = query_rows.at[members].get(mode="fill", fill_value=0)  # [slots, W, K, N / K, H]
    queries = queries.swapaxes(1, 2).reshape(slots, kv_heads, -1, width)
    seen = steps[None] < prompt_filled[:, None]
    prompt = attention.paged(queries, prompt_keys, prompt_values, seen, prompt_owner, prompt_table, order)

    def by_row(x: jax.Array) -> jax.Array:  # [slots, K, W · N / K, ...] -> [B, K, N / K, ...]
        apart = x.reshape(slots, kv_heads, together, heads // kv_heads, *x.shape[3:]).swapaxes(1, 2)
        return apart.reshape(slots * together, *apart.shape[2:]).at[seats].get(mode="clip")

    parts += [Partial(*(by_row(x) for x in prompt))]
    if prefix:
        parts += [attention.shared(query_rows, prefix[0], prefix[1], order)]
    context = attention.merge(*parts)
    return context.reshape(query.shape).astype(query.dtype), keys, values
