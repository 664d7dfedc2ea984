"""The cached forward: prefill each prompt once, then decode W samples of it against the shared prompt cache.

The caches are tuples with one array a layer, never one array for all: the compiled step then updates each in place.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from rft_jax.model.attention import segment_attention, two_part_attention
from rft_jax.model.llama import Llama
from rft_jax.model.partition import place

LayerCache = tuple[jax.Array, jax.Array]  # keys and values


@functools.partial(jax.tree_util.register_dataclass, data_fields=["layers", "lengths"], meta_fields=[])
@dataclasses.dataclass
class PromptCache:
    """Keys and values of G prompts, shared by all samples of each.

    Attributes:
        layers: for each layer keys and values [G, P, K, H].
        lengths: int32 [G], tokens of each prompt, which fill the slots from 0.
    """

    layers: tuple[LayerCache, ...]
    lengths: jax.Array


@functools.partial(jax.tree_util.register_dataclass, data_fields=["layers", "length"], meta_fields=[])
@dataclasses.dataclass
class SuffixCache:
    """Keys and values of what W samples of each of G problems have added to their prompt, in lockstep.

    Attributes:
        layers: for each layer keys and values [G, W, S, K, H].
        length: int32 [], slots filled so far, the same for every sample.
    """

    layers: tuple[LayerCache, ...]
    length: jax.Array


def empty_suffix(model: Llama, problems: int, samples: int, slots: int, dtype: jnp.dtype) -> SuffixCache:
    """Returns a suffix cache of zeros for G problems, W samples and S slots."""
    config = model.config
    shape = (problems, samples, slots, config.kv_heads, config.head_width)
    zeros = [[place(jnp.zeros(shape, dtype), "suffix_cache") for _ in "kv"] for _ in range(config.layers)]
    return SuffixCache(tuple((key, value) for key, value in zeros), jnp.int32(0))


def prefill(model: Llama, tokens: jax.Array, lengths: jax.Array, dtype: jnp.dtype) -> tuple[jax.Array, PromptCache]:
    """Reads G prompts.

    Args:
        model: with its layers apart.
        tokens: int32 [G, P], each prompt at the start of its row; what follows is ignored.
        lengths: int32 [G], from 1 to P.
        dtype: of the computation and the cache.

    Returns:
        Logits [G, V] of the token after each prompt, and the prompts' cache.
    """
    slots = jnp.arange(tokens.shape[1], dtype=jnp.int32)
    segments = place((slots[None, :] < lengths[:, None]).astype(jnp.int32), "tokens")
    positions = place(jnp.broadcast_to(slots[None, :], tokens.shape), "tokens")

    def attend(_: None, query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, LayerCache]:
        context = segment_attention(query, key, value, segments)
        return context, (place(key, "prompt_cache"), place(value, "prompt_cache"))

    hidden, layers = model.hidden(tokens, positions, attend, [None] * model.config.layers, dtype=dtype)
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)  # [G, 1, D]
    return model.logits(last)[:, 0], PromptCache(tuple(layers), lengths)


def step(
    model: Llama, tokens: jax.Array, prompts: PromptCache, suffix: SuffixCache, dtype: jnp.dtype
) -> tuple[jax.Array, SuffixCache]:
    """Reads one more token of each sample.

    Args:
        model: with its layers apart.
        tokens: int32 [G, W].
        prompts: of the G problems.
        suffix: of the G × W samples, with at least one slot free; donate it, and it is updated in place.
        dtype: of the computation and the caches.

    Returns:
        Logits [G, W, V] of the token after these, and the suffix cache, one slot longer.
    """
    positions = place(jnp.broadcast_to((prompts.lengths + suffix.length)[:, None], tokens.shape), "tokens")

    def attend(
        cache: tuple[LayerCache, LayerCache], query: jax.Array, key: jax.Array, value: jax.Array
    ) -> tuple[jax.Array, LayerCache]:
        prompt, (keys, values) = cache
        write = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=suffix.length, axis=2)
        own = write(keys, key[:, :, None]), write(values, value[:, :, None])
        return two_part_attention(query, prompt, prompts.lengths, own, suffix.length + 1), own

    # To the layers the W samples of a problem are W positions of one row; only attention tells them apart.
    caches = list(zip(prompts.layers, suffix.layers, strict=True))
    hidden, layers = model.hidden(tokens, positions, attend, caches, dtype=dtype)
    return model.logits(hidden), SuffixCache(tuple(layers), suffix.length + 1)
