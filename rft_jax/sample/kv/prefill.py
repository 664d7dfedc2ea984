"""Reading prompts into the cache."""

import dataclasses

import jax
import jax.numpy as jnp

from rft_jax.model.attention import per_device, prefixed_attention, repeat_heads, segment_attention
from rft_jax.model.llama import Llama
from rft_jax.model.partition import place
from rft_jax.sample.kv.paged_attention import lay
from rft_jax.sample.kv.pages import Cache, KeysValues


def read_prefix(model: Llama, tokens: jax.Array, dtype: jnp.dtype) -> tuple[KeysValues, ...]:
    """Returns for each layer keys and values [K, P, H] of tokens int32 [P] that all prompts begin with."""
    count = tokens.shape[0]
    positions = place(jnp.arange(count, dtype=jnp.int32)[None], "tokens")

    def attend(
        _: None, query: jax.Array, key: jax.Array, value: jax.Array, *, window: int | None
    ) -> tuple[jax.Array, KeysValues]:
        context = segment_attention(query, key, value, jnp.ones((1, count), jnp.int32), positions, window=window)
        key, value = (repeat_heads(x, query.shape[2])[0].swapaxes(0, 1) for x in (key, value))
        return context, (place(key, "prefix"), place(value, "prefix"))

    _, layers = model.hidden(tokens[None], positions, attend, [None] * model.config.layers, dtype=dtype)
    return tuple(layers)


def prefill(
    model: Llama,
    tokens: jax.Array,
    lengths: jax.Array,
    slots: jax.Array,
    pages: jax.Array,
    cache: Cache,
    dtype: jnp.dtype,
) -> Cache:
    """Reads prompts into slots.

    Args:
        model: with unstacked layers.
        tokens: int32 [G, P], whole pages, each prompt at the start of its row, without the prefix; the padding is
            arbitrary.
        lengths: int32 [G], from 0 to P.
        slots: int32 [G], the slot of each prompt; `no_slot` where there is no prompt.
        pages: int32 [G, P / C], free pages for each prompt, as many as its length needs; the rest `no_prompt_page`.
        cache: donate it.
        dtype: of the computation and the cache.

    Returns:
        The cache, with the prompts in it; `reach` and `depth` of `Cache.prompts` are the caller's to set.
    """
    prefix = [layer.prefix for layer in cache.layers]
    skipped = 0 if prefix[0] is None else prefix[0][1].shape[-2]
    order = cache.key_order
    columns = jnp.arange(tokens.shape[1], dtype=jnp.int32)
    segments = place((columns[None, :] < lengths[:, None]).astype(jnp.int32), "tokens")
    positions = place(jnp.broadcast_to(columns[None, :] + skipped, tokens.shape), "tokens")

    def attend(
        prefix: KeysValues | None, query: jax.Array, key: jax.Array, value: jax.Array, *, window: int | None
    ) -> tuple[jax.Array, KeysValues]:
        if prefix is None:
            context = segment_attention(query, key, value, segments, positions, window=window)
        else:
            context = prefixed_attention(query, key, value, lay(prefix[0], order), prefix[1], segments, window=window)
        return context, (repeat_heads(key, query.shape[2]), repeat_heads(value, query.shape[2]))

    _, layers = model.hidden(tokens, positions, attend, prefix, dtype=dtype)
    page_size = cache.page_size
    filled = jnp.clip(lengths[:, None] - page_size * jnp.arange(pages.shape[1], dtype=jnp.int32)[None, :], 0, page_size)

    beyond = ((0, 0), (0, cache.prompts.pages.shape[1] - pages.shape[1]))  # the columns that these prompts do not fill

    def write(pages, slots, filled, owner, filled_before, table, *arrays):  # type: ignore[no-untyped-def]
        flat = pages.reshape(-1)
        slot_of = jnp.broadcast_to(slots[:, None], pages.shape).reshape(-1)
        new = [
            owner.at[flat].set(slot_of, mode="drop"),
            filled_before.at[flat].set(filled.reshape(-1), mode="drop"),
            table.at[slots].set(jnp.pad(pages, beyond, constant_values=len(owner)), mode="drop"),
        ]
        for key, value, keys, values in zip(*(arrays[i::4] for i in range(4)), strict=True):
            parts = (len(pages), pages.shape[1], page_size, *key.shape[2:])  # [G, P, K, H] -> [G, P / C, C, K, H]
            key, value = (x.reshape(parts).swapaxes(2, 3).reshape(-1, *values.shape[1:]) for x in (key, value))
            new += [keys.at[flat].set(lay(key, order), mode="drop"), values.at[flat].set(value, mode="drop")]
        return tuple(new)

    arrays = [
        operand
        for (key, value), layer in zip(layers, cache.layers, strict=True)
        for operand in [("heads", key), ("heads", value), ("pages", layer.prompts[0]), ("pages", layer.prompts[1])]
    ]
    owner, filled, table, *written = per_device(
        write,
        ("tokens", pages),
        ("lengths", slots),
        ("tokens", filled),
        ("lengths", cache.prompts.owner),
        ("lengths", cache.filled),
        ("tokens", cache.prompts.pages),
        *arrays,
        like=(3, 4, 5, *(6 + i for i in range(len(arrays)) if i % 4 >= 2)),
    )
    pairs = zip(written[0::2], written[1::2], strict=True)
    new_layers = (dataclasses.replace(layer, prompts=pair) for layer, pair in zip(cache.layers, pairs, strict=True))
    prompts = dataclasses.replace(cache.prompts, owner=owner, pages=table)
    return dataclasses.replace(cache, layers=tuple(new_layers), prompts=prompts, filled=filled)
