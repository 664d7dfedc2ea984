"""The paged KV cache: each prompt is read once, and many samples are decoded against it.

A *row* decodes one sequence at a time. A *page* is C steps of one row's keys and values. A row attends to
- its prompt: pages of a pool that belong to a *slot*, which up to R rows share;
- its history: pages of a second pool, one per `flush` since its sequence began;
- its current page, which it is writing: all rows at one of two positions, half a page apart, so that a step moves
  nothing else.
A sequence starts with a page, so all pages but the current one are full.
So a step reads what is there, whatever the lengths and the pools' sizes, and half a page per row more on average.
Numbers of rows, slots and pages are per device (along the batch axes of the mesh): each device has its own pools.

Every layer has arrays of its own, never one for all layers, so that the compiled step updates each in place.
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
from rft_jax.sample.kv.paged_attention import KeyOrder, Reading, lay
from rft_jax.sample.kv.tables import KeysValues, PageTable


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["current", "history", "prompts", "prefix"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class LayerCache:
    """One layer's keys and values: values [..., K, C, H], keys in the order `CacheSizes.key_order`.

    Attributes:
        current: [B, ...], the page that each row is writing.
        history: [M, ...], pages of the rows.
        prompts: [M, ...], pages of the prompts.
        prefix: [K, P, H], the tokens that all prompts begin with, or None.
    """

    current: KeysValues
    history: KeysValues
    prompts: KeysValues
    prefix: KeysValues | None


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["layers", "prompts", "filled", "history"],
    meta_fields=["key_order", "reading"],
)
@dataclasses.dataclass(frozen=True)
class Cache:
    """Keys and values of all rows, and which page is whose.

    Attributes:
        layers: one LayerCache per layer.
        prompts: the pages of each slot.
        filled: int32 [M], tokens in each prompt page.
        history: the pages of each row, oldest first; all of them full.
        key_order, reading: see `CacheSizes`.
    """

    layers: tuple[LayerCache, ...]
    prompts: PageTable
    filled: jax.Array
    history: PageTable
    key_order: KeyOrder
    reading: Reading

    @property
    def page_size(self) -> int:
        """C, the steps per page."""
        return self.layers[0].current[1].shape[-2]


@dataclasses.dataclass(frozen=True)
class CacheSizes:
    """The sizes of a cache, on one device.

    Attributes:
        rows: B, sequences in flight.
        slots: prompts held.
        seats: R, rows per slot at most.
        samples: wanted of a slot's prompt at most.
        prompt_pages, history_pages: M, pages in each pool.
        prompt_width: P, tokens of the longest prompt; a multiple of `page_size`.
        response_width: tokens of the longest response.
        page_size: C, steps per page; even.
        key_order: how keys lie in a page, "hc" or "ch"; see kv/paged_attention.py.
        reading: how a pool is read.
    """

    rows: int
    slots: int
    seats: int
    samples: int
    prompt_pages: int
    history_pages: int
    prompt_width: int
    response_width: int
    page_size: int
    key_order: KeyOrder = "hc"
    reading: Reading = dataclasses.field(default_factory=Reading)

    def __post_init__(self) -> None:
        if self.page_size % 2:
            raise ValueError(f"pages of {self.page_size} tokens have no halves")
        if self.prompt_width % self.page_size:
            raise ValueError(f"prompts of {self.prompt_width} tokens are not whole pages of {self.page_size}")
        if self.history_pages < self.pages_per_row or self.prompt_pages < self.pages_per_slot:
            raise ValueError(f"pools too small for one row or prompt: {self}")

    @property
    def pages_per_row(self) -> int:
        """History pages per row at most."""
        return math.ceil(self.response_width / self.page_size)

    @property
    def pages_per_slot(self) -> int:
        """Prompt pages per slot at most: a sample that is resumed reads what it has as part of its prompt."""
        return self.prompt_width // self.page_size + self.pages_per_row

    # Each index array marks "none" with the number just past the last, which scatters drop and gathers fill.
    @property
    def no_prompt_page(self) -> int:
        """Stands for no page in a slot's page table."""
        return self.prompt_pages

    @property
    def no_slot(self) -> int:
        """Stands for no slot."""
        return self.slots

    @property
    def no_row(self) -> int:
        """Stands for an empty seat."""
        return self.rows

    @property
    def tokens(self) -> int:
        """Tokens whose keys and values the cache has room for."""
        return (self.prompt_pages + self.history_pages + self.rows) * self.page_size


def empty(model: Llama, sizes: CacheSizes, dtype: jnp.dtype, prefix: tuple[KeysValues, ...] | None = None) -> Cache:
    """Returns a cache with nothing in it, on the mesh in context.

    Args:
        model: whose layers it is for.
        sizes: on one device.
        dtype: of keys and values.
        prefix: from `read_prefix`, if all prompts begin alike.
    """
    devices = partition.batch_devices()
    heads, width = split_kv_heads(model.config.heads, model.config.kv_heads), model.config.head_width

    def pool(count: int) -> KeysValues:
        zeros = jnp.zeros((count * devices, heads, sizes.page_size, width), dtype)
        return place(lay(zeros, sizes.key_order), "pages"), place(zeros, "pages")

    def numbers(role: str, value: int, *shape: int) -> jax.Array:
        return place(jnp.full((shape[0] * devices, *shape[1:]), value, jnp.int32), role)

    prefixes = [None] * model.config.layers if prefix is None else [(lay(k, sizes.key_order), v) for k, v in prefix]
    layers = (
        LayerCache(pool(sizes.rows), pool(sizes.history_pages), pool(sizes.prompt_pages), layer_prefix)
        for layer_prefix in prefixes
    )

    def table(pages: int, owners: int, pages_each: int) -> PageTable:
        nothing = numbers("lengths", 0, 1)
        return PageTable(numbers("lengths", 0, pages), numbers("tokens", pages, owners, pages_each), nothing, nothing)

    return Cache(
        layers=tuple(layers),
        prompts=table(sizes.prompt_pages, sizes.slots, sizes.pages_per_slot),
        filled=numbers("lengths", 0, sizes.prompt_pages),
        history=table(sizes.history_pages, sizes.rows, sizes.pages_per_row),
        key_order=sizes.key_order,
        reading=sizes.reading,
    )


def forget(cache: Cache, rows: jax.Array) -> Cache:
    """Returns the cache without the history of some rows; the next `flush` frees their pages.

    Args:
        cache: of all devices.
        rows: bool [B], true for a row whose sequence is over.
    """
    no_page = len(cache.history.owner) // partition.batch_devices()  # page numbers are per device
    pages = jnp.where(rows[:, None], no_page, cache.history.pages)
    return dataclasses.replace(cache, history=dataclasses.replace(cache.history, pages=pages))
