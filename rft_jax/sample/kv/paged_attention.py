"""Attention over keys and values that lie in pages, for decoding.

A pool of M pages of C steps each belongs, in any order, to X rows or prompts. A step reads what the pool holds,
however large it is, in one of three ways: rows *walk* through their pages on CPUs; they do so within a *kernel* on
GPUs (walk_kernel.py); elsewhere, and where the kernel does not take the shapes, a *sweep* goes over the pool up to the
highest page in use (pages are taken from the low end). Rows with a window read all their pages too, masked, and by a
sweep where others would use the kernel. What the pages of a row give, and the parts of a row (prefix,
prompt, history, current page), are merged by their maxima and weights (exactly, as in arXiv 2205.14135).

Shapes use the project's alphabet (README). Values are [M, K, C, H]; keys have one of two orders, named by their last
axes: "hc" lets both products run along the last axis, which is 2 to 10 times faster on CPU; "ch" is what XLA
wants on GPUs, where it would copy a pool in the other order at each call.
"""

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from rft_jax.sample.kv import walk_kernel
from rft_jax.sample.kv.tables import OwnPages, PageTable, SharedPages, Window

KeyOrder = Literal["hc", "ch"]

EMPTY = -1e30  # the score of a masked position: finite, so that a row that sees nothing gives no NaN


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a pool is read.

    Attributes:
        way: "walk", row by row through the table; "kernel", the same in kernels; or "sweep", over the pool.
        rows, queries: of the table, that walk together at most (not in the kernels).
        pages: of the pool, that are multiplied together in a sweep.
        columns: of the table, whose sums are added together after a sweep.
    """

    way: Literal["walk", "sweep", "kernel"] = "walk"
    rows: int = 32
    queries: int = 256
    pages: int = 256
    columns: int = 8


class Partial(NamedTuple):
    """Attention of each query to some of its keys, unnormalised.

    Attributes:
        top: fp32 [X, K, Q], the largest score; EMPTY where there was no key.
        weight: fp32 [X, K, Q], sum of exp(score - top).
        context: fp32 [X, K, Q, H], sum of exp(score - top) · value.
    """

    top: jax.Array
    weight: jax.Array
    context: jax.Array


def nothing(query: jax.Array) -> Partial:
    """Returns what queries [X, K, Q, H] get from no keys at all."""
    shape = query.shape[:3]
    return Partial(
        jnp.full(shape, EMPTY, jnp.float32), jnp.zeros(shape, jnp.float32), jnp.zeros(query.shape, jnp.float32)
    )


def add(*parts: Partial) -> Partial:
    """Returns the attention to the keys of all parts, unnormalised."""
    top = functools.reduce(jnp.maximum, (part.top for part in parts))
    shares = [jnp.exp(part.top - top) for part in parts]
    weight = functools.reduce(jnp.add, (share * part.weight for share, part in zip(shares, parts, strict=True)))
    contexts = (share[..., None] * part.context for share, part in zip(shares, parts, strict=True))
    return Partial(top, weight, functools.reduce(jnp.add, contexts))


def lay(x: jax.Array, order: KeyOrder) -> jax.Array:
    """Converts keys between [..., C, H] and the given order; it is its own inverse."""
    return x if order == "ch" else x.swapaxes(-1, -2)


def dense(query: jax.Array, keys: jax.Array, values: jax.Array, valid: jax.Array, order: KeyOrder) -> Partial:
    """Attends each row to its own keys.

    Args:
        query: [X, K, Q, H]. keys: [X, K, H, C] or [X, K, C, H]. values: [X, K, C, H].
        valid: bool [X, Q, C], the positions that each query sees, or [X, 1, C].
        order: of the keys, "hc" or "ch".
    """
    scores = _scores(query, keys, valid, order)
    top = jnp.max(scores, axis=-1)
    return Partial(top, *_weigh(scores, top, values, valid))


def paged(
    query: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    filled: jax.Array,
    table: PageTable,
    first: jax.Array | None,
    order: KeyOrder,
    reading: Reading,
) -> Partial:
    """Attends each row to its pages in a pool, by a walk or a sweep.

    Args:
        query: [X, K, Q, H]. keys: [M, K, H, C] or [M, K, C, H]. values: [M, K, C, H].
        filled: int32 [M], tokens in each page, to be seen.
        table: which page is whose, and how much of it is in use.
        first: int32 [X, Q] or [X, 1], the first position that each query sees, counted from the start of the row's
            first page; None: all.
        order: of the keys, "hc" or "ch".
        reading: how the pool is read; the result is the same.
    """
    read = _walk if reading.way == "walk" else _sweep
    return read(query, keys, values, filled, table, first, order, reading)


def attend(
    query: jax.Array, own: OwnPages, shared: SharedPages, window: Window | None, order: KeyOrder, reading: Reading
) -> jax.Array:
    """Attends each row to all that it sees.

    Args:
        query: [B, K, Q, H].
        own: its current page and its history.
        shared: the prefix and its slot's prompt.
        window: how far back it sees; None: to the beginning.
        order: of the keys, "hc" or "ch".
        reading: how the pools are read; the result is the same.

    Returns:
        [B, K, Q, H], in fp32, or by the kernels in the query's dtype.
    """
    readable = order == "ch" and all(walk_kernel.supports(keys) for keys, _ in (own.history, shared.prompts))
    if reading.way == "kernel" and readable and window is None:
        return walk_kernel.attend(query, own, shared, empty=EMPTY)
    page_size = own.current[1].shape[2]
    prefix = 0 if shared.prefix is None else shared.prefix[1].shape[1]
    of_current = of_history = of_prompt = of_prefix = None
    if window is not None:
        depth = jnp.sum(own.table.pages < len(own.table.owner), axis=1)
        of_current = own.columns[:, None] - (window.size - 1)
        of_history = depth[:, None] * page_size + of_current
        of_prefix = window.positions[:, None] - (window.size - 1)
        of_prompt = of_prefix - prefix
    full = jnp.full(len(own.table.owner), page_size, jnp.int32)
    parts = [
        dense(query, *own.current, _seen(page_size, own.columns + 1, 0, of_current), order),
        paged(query, *own.history, full, own.table, of_history, order, reading),
        _prompt(query, shared, of_prompt, order, reading),
    ]
    if shared.prefix is not None:
        parts += [_prefix(query, *shared.prefix, of_prefix, order)]
    return merge(*parts)


def _seen(page_size: int, filled: jax.Array, page: jax.Array | int, first: jax.Array | None) -> jax.Array:
    """Returns which positions of a page each query sees, bool [X, Q or 1, C].

    Args:
        page_size: C.
        filled: int32 [X], tokens in the page.
        page: int32 [X, 1, 1] or [], how many pages of its row come before it.
        first: int32 [X, Q or 1], as for `paged`.
    """
    offsets = jnp.arange(page_size)[None, None]
    seen = offsets < filled[:, None, None]
    return seen if first is None else seen & (page * page_size + offsets >= first[:, :, None])


def _prompt(
    query: jax.Array, shared: SharedPages, first: jax.Array | None, order: KeyOrder, reading: Reading
) -> Partial:
    """Attends each row to its slot's prompt; the queries of a slot's rows are stacked, so it is read once for all."""
    (rows, kv_heads, queries, _), (slots, seats) = query.shape, shared.members.shape
    stacked = query.at[shared.members].get(mode="fill", fill_value=0)  # [slots, R, K, Q, H]
    stacked = stacked.swapaxes(1, 2).reshape(slots, kv_heads, seats * queries, -1)
    taken = jnp.any(shared.members < rows, axis=1)[:, None]  # a slot where nobody sits is not read
    table = dataclasses.replace(shared.table, pages=jnp.where(taken, shared.table.pages, len(shared.filled)))
    if first is not None:  # [B, 1] -> [slots, R · Q]
        first = jnp.repeat(first[:, 0].at[shared.members].get(mode="fill", fill_value=0), queries, axis=1)
    found = paged(stacked, *shared.prompts, shared.filled, table, first, order, reading)

    # A row without a seat sees no prompt: what a slot without rows gives may be NaN, and would stay in its page,
    # where the next sample's mask only multiplies it by 0.
    def by_row(x: jax.Array, missing: float) -> jax.Array:  # [slots, K, R · Q, ...] -> [B, K, Q, ...]
        apart = x.reshape(slots, kv_heads, seats, queries, *x.shape[3:]).swapaxes(1, 2)
        apart = apart.reshape(slots * seats, *apart.shape[2:])
        return apart.at[shared.seats].get(mode="fill", fill_value=missing)

    return Partial(by_row(found.top, EMPTY), by_row(found.weight, 0.0), by_row(found.context, 0.0))


def _walk(
    query: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    filled: jax.Array,
    table: PageTable,
    first: jax.Array | None,
    key_order: KeyOrder,
    reading: Reading,
) -> Partial:
    """Some rows at a time go through their pages, first to last; what is copied of the pool stays in a CPU's cache.

    Those with the most pages come first, so that rows that walk together have about as many, and those without are
    left out.
    """
    rows = min(len(query), reading.rows, max(1, reading.queries // query.shape[2]))
    depths = jnp.sum(table.pages < len(keys), axis=1)
    order = jnp.argsort(depths, descending=True)
    depths, queries, pages = depths[order], query[order], table.pages[order]
    firsts = None if first is None else first[order]

    def block(number: jax.Array, done: Partial) -> Partial:
        def here(x: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(x, number * rows, rows)

        own_queries, own_pages = here(queries), here(pages)
        own_first = None if firsts is None else here(firsts)

        def column(number: jax.Array, sums: Partial) -> Partial:
            page = jax.lax.dynamic_index_in_dim(own_pages, number, axis=1, keepdims=False)
            seen = _seen(values.shape[2], _gather(filled, page, 0), number, own_first)
            key, value = (x.at[page].get(mode="clip") for x in (keys, values))
            return add(sums, dense(own_queries, key, value, seen, key_order))

        sums = jax.lax.fori_loop(0, jnp.max(here(depths)), column, nothing(own_queries))
        return _written(done, sums, number * rows)

    # The last block may begin within the one before, to no harm.
    done = jax.lax.fori_loop(0, _ceil(jnp.sum(depths > 0), rows), block, nothing(query))
    place = jnp.zeros_like(order).at[order].set(jnp.arange(len(order)), unique_indices=True)
    return Partial(*(x[place] for x in done))


def _sweep(
    query: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    filled: jax.Array,
    table: PageTable,
    first: jax.Array | None,
    order: KeyOrder,
    reading: Reading,
) -> Partial:
    """Each page is multiplied where it lies by its owner's query, up to the highest page in use: nothing is copied."""
    pages = min(reading.pages, len(keys))
    if first is not None:  # of each page, and how many of its row come before it
        first = first.at[table.owner].get(mode="clip")
        columns = jnp.broadcast_to(jnp.arange(table.pages.shape[1])[None], table.pages.shape)
        before = jnp.zeros(len(keys), jnp.int32).at[table.pages].set(columns, mode="drop")

    def read(chunk: jax.Array, parts: Partial) -> Partial:
        def here(x: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(x, chunk * pages, pages)

        queries = query.at[here(table.owner)].get(mode="clip")
        page, own_first = (0, None) if first is None else (here(before)[:, None, None], here(first))
        seen = _seen(values.shape[2], here(filled), page, own_first)
        found = dense(queries, here(keys), here(values), seen, order)
        return _written(parts, found, chunk * pages)

    # What the loop does not write is never read: a row's pages are all within reach.
    shape = (len(keys), *query.shape[1:3])
    unread = Partial(*(jax.lax.empty(shape, jnp.float32) for shape in (shape, shape, (*shape, query.shape[3]))))
    by_page = jax.lax.fori_loop(0, _ceil(table.reach[0], pages), read, unread)
    return _added(by_page, table, reading.columns)


def _added(by_page: Partial, table: PageTable, columns: int) -> Partial:
    """Adds up what each row's pages gave; a loop over the columns of the table, up to the last in use."""
    padding = -table.pages.shape[1] % columns
    owned = jnp.pad(table.pages, ((0, 0), (0, padding)), constant_values=len(by_page.top))
    loops = _ceil(table.depth[0], columns)

    def some(column: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(owned, column * columns, columns, axis=1)

    def largest(column: jax.Array, top: jax.Array) -> jax.Array:
        return jnp.maximum(top, jnp.max(_gather(by_page.top, some(column), EMPTY), axis=1))

    def add(column: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        page = some(column)
        share = jnp.exp(_gather(by_page.top, page, EMPTY) - top[:, None])
        weight = jnp.sum(_gather(by_page.weight, page, 0.0) * share, axis=1)
        # One addition per column, all in one kernel; a sum over a gathered axis would write what it gathers first.
        contexts = (_gather(by_page.context, page[:, i], 0).astype(jnp.float32) for i in range(columns))
        context = sum((x * share[:, i, ..., None] for i, x in enumerate(contexts)), sums[1])
        return sums[0] + weight, context

    def start(x: jax.Array, value: float) -> jax.Array:
        return jnp.full((len(owned), *x.shape[1:]), value, jnp.float32)

    top = jax.lax.fori_loop(0, loops, largest, start(by_page.top, EMPTY))
    sums = jax.lax.fori_loop(0, loops, add, (start(by_page.weight, 0.0), start(by_page.context, 0.0)))
    return Partial(top, *sums)


def _written(whole: Partial, part: Partial, first: jax.Array) -> Partial:
    """Returns the whole with a part in it, from this row or page on."""
    pairs = zip(whole, part, strict=True)
    return Partial(*(jax.lax.dynamic_update_slice_in_dim(x, new, first, axis=0) for x, new in pairs))


def _ceil(number: jax.Array, divisor: int) -> jax.Array:
    return (number + divisor - 1) // divisor


def _scores(query: jax.Array, keys: jax.Array, valid: jax.Array, order: KeyOrder) -> jax.Array:
    scores = jnp.einsum(f"xkqh,xk{order}->xkqc", query, keys, preferred_element_type=jnp.float32)
    return jnp.where(valid[:, None], scores * query.shape[-1] ** -0.5, EMPTY)


def _weigh(scores: jax.Array, top: jax.Array, values: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the sums [X, K, Q] of exp(score - top), and [X, K, Q, H] of that times the values."""
    weights = jnp.where(valid[:, None], jnp.exp(scores - top[..., None]), 0.0)
    context = jnp.einsum("xkqc,xkch->xkqh", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    return jnp.sum(weights, axis=-1), context


def _gather(x: jax.Array, page: jax.Array, missing: float) -> jax.Array:
    """Returns x [M, ...] of one page per row, int32 [X]; `missing` where the row has no such page."""
    return x.at[page].get(mode="fill", fill_value=missing)


def _prefix(query: jax.Array, keys: jax.Array, values: jax.Array, first: jax.Array | None, order: KeyOrder) -> Partial:
    """Attends all rows to the same keys, [K, H, C] or [K, C, H] as `order` says, and values [K, C, H].

    `first` is int32 [X, 1], as for `paged`.
    """
    scores = jnp.einsum(f"xkqh,k{order}->xkqc", query, keys, preferred_element_type=jnp.float32)
    scores = scores * query.shape[-1] ** -0.5
    if first is not None:
        seen = (jnp.arange(values.shape[1])[None] >= first)[:, None, None]
        scores = jnp.where(seen, scores, EMPTY)
    top = jnp.max(scores, axis=-1)
    weights = jnp.exp(scores - top[..., None])
    if first is not None:
        weights = jnp.where(seen, weights, 0.0)
    context = jnp.einsum("xkqc,kch->xkqh", weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    return Partial(top, jnp.sum(weights, axis=-1), context)


def merge(*parts: Partial) -> jax.Array:
    """Returns the attention [X, K, Q, H], fp32, over the keys of all parts; each row sees at least one key."""
    whole = add(*parts)
    return whole.context / whole.weight[..., None]
