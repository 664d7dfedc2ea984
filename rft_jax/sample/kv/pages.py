"""The cached forward: prompts are read once, many samples of each are decoded against them.

Every sample in flight has a *row*. A row's keys and values lie in three places, each split over the devices by rows:
- its prompt: blocks of a pool, owned by a *slot* that any number of rows share;
- its history: blocks of another pool, one for each call of `flush` that the sample has lived through;
- the current block: C steps that all rows write in lockstep, at the same place, so that a step moves nothing else.
What a step reads is thus what is there, up to half a block a row, whatever the lengths. Numbers of rows, slots and
blocks are those of one device (the batch axes of the mesh); each device keeps its own pools.

Every layer has arrays of its own, never one for all layers: the compiled step then updates each in place.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp

from rft_jax.model import partition
from rft_jax.model.attention import split_kv_heads
from rft_jax.model.llama import Llama
from rft_jax.model.partition import place
from rft_jax.sample.kv.attention import KeyOrder, lay

KeysValues = tuple[jax.Array, jax.Array]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["prompts", "history", "current", "prefix"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class LayerCache:
    """One layer's keys and values: [..., K, slots, H], keys perhaps [..., K, H, slots]; see `Sizes.key_order`.

    Attributes:
        prompts: [blocks, ...], C prompt tokens each.
        history: [blocks, ...], C steps each.
        current: [B, ...], the C steps since the last flush.
        prefix: [...], tokens that all prompts begin with, or None.
    """

    prompts: KeysValues
    history: KeysValues
    current: KeysValues
    prefix: KeysValues | None


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["layers", "prompt_owner", "prompt_filled", "prompt_table", "owner", "first", "table"],
    meta_fields=["key_order"],
)
@dataclasses.dataclass(frozen=True)
class Cache:
    """Keys and values of all rows, and which block is whose. Numbers of blocks beyond the pool stand for no block.

    Attributes:
        layers: one LayerCache a layer.
        prompt_owner: int32 [prompt blocks], the slot of each.
        prompt_filled: int32 [prompt blocks], tokens in each.
        prompt_table: int32 [slots, blocks of a prompt], the blocks of each slot.
        owner: int32 [history blocks], the row of each.
        first: int32 [history blocks], the step at which the row's sample begins; earlier ones were another sample's.
        table: int32 [B, blocks of a row], the history of each row.
        key_order: see `Sizes`.
    """

    layers: tuple[LayerCache, ...]
    prompt_owner: jax.Array
    prompt_filled: jax.Array
    prompt_table: jax.Array
    owner: jax.Array
    first: jax.Array
    table: jax.Array
    key_order: KeyOrder

    @property
    def block(self) -> int:
        """C, the slots of a block."""
        return self.layers[0].current[1].shape[-2]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of a cache, on one device.

    Attributes:
        rows: B, samples in flight.
        slots: prompts held.
        together: W, rows that share a prompt at most.
        prompt_blocks, history_blocks: blocks in the pools.
        prompt_width: tokens of the longest prompt; a multiple of `block`.
        suffix_width: steps that a row lives at most.
        block: C, tokens of a block and steps between two flushes.
        key_order: how keys lie in a block, "hc" or "ch"; see kv/attention.py.
    """

    rows: int
    slots: int
    together: int
    prompt_blocks: int
    history_blocks: int
    prompt_width: int
    suffix_width: int
    block: int
    key_order: KeyOrder = "hc"

    def __post_init__(self) -> None:
        if self.prompt_width % self.block:
            raise ValueError(f"prompts of {self.prompt_width} tokens are not whole blocks of {self.block}")
        if self.history_blocks < self.blocks_of_row or self.prompt_blocks < self.prompt_width // self.block:
            raise ValueError(f"pools too small for one row or prompt: {self}")

    @property
    def blocks_of_row(self) -> int:
        """History blocks of one row at most: its last tokens are still in the current block."""
        return math.ceil(self.suffix_width / self.block)

    @property
    def tokens(self) -> int:
        """Tokens whose keys and values the cache holds."""
        return (self.prompt_blocks + self.history_blocks + self.rows) * self.block


def empty(model: Llama, sizes: Sizes, dtype: jnp.dtype, prefix: tuple[KeysValues, ...] | None = None) -> Cache:
    """Returns a cache with nothing in it, on the mesh in context.

    Args:
        model: whose layers it is for.
        sizes: on one device.
        dtype: of keys and values.
        prefix: from `read_prefix`, if all prompts begin alike.
    """
    devices = partition.batch_devices()
    heads, width = split_kv_heads(model.config.heads, model.config.kv_heads), model.config.head_width

    def blocks(count: int) -> KeysValues:
        zeros = jnp.zeros((count * devices, heads, sizes.block, width), dtype)
        return place(lay(zeros, sizes.key_order), "blocks"), place(zeros, "blocks")

    def numbers(role: str, value: int, *shape: int) -> jax.Array:
        return place(jnp.full((shape[0] * devices, *shape[1:]), value, jnp.int32), role)

    prefixes = [None] * model.config.layers if prefix is None else [(lay(k, sizes.key_order), v) for k, v in prefix]
    layers = (
        LayerCache(blocks(sizes.prompt_blocks), blocks(sizes.history_blocks), blocks(sizes.rows), layer_prefix)
        for layer_prefix in prefixes
    )
    return Cache(
        layers=tuple(layers),
        prompt_owner=numbers("lengths", 0, sizes.prompt_blocks),
        prompt_filled=numbers("lengths", 0, sizes.prompt_blocks),
        prompt_table=numbers("tokens", sizes.prompt_blocks, sizes.slots, sizes.prompt_width // sizes.block),
        owner=numbers("lengths", 0, sizes.history_blocks),
        first=numbers("lengths", 0, sizes.history_blocks),
        table=numbers("tokens", sizes.history_blocks, sizes.rows, sizes.blocks_of_row),
        key_order=sizes.key_order,
    )
