"""Whether the GPU kernels may be used here: they are compared with the plain way on this machine before each run."""

import logging

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax.sample.kv import paged_attention
from rft_jax.sample.kv.paged_attention import Reading
from rft_jax.sample.kv.tables import KeysValues, OwnPages, PageTable, SharedPages

log = logging.getLogger(__name__)

_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}  # of 1 + the size of a number
_SHARPNESS = 3.0  # of the queries: a single key too many or too few shows
_PAGES = 4  # per row or slot, at most


def kernel_agrees(
    *, kv_heads: int, queries: int, width: int, page_size: int, seats: int, prefix: int, dtype: jnp.dtype
) -> bool:
    """Returns whether the kernels of a run compile for this device and give what a sweep gives; says so where not.

    Args:
        kv_heads: K on one device.
        queries: Q, of a key-value head and row.
        width: H.
        page_size: C.
        seats: R, rows per slot at most.
        prefix: P, tokens that all prompts begin with; may be 0.
        dtype: of keys and values.
    """
    try:
        shape = kv_heads, queries, width, page_size, seats, prefix
        got, seated = _attend(Reading("kernel"), dtype, *shape)
        expected, _ = _attend(Reading("sweep"), jnp.dtype("float32"), *shape)
    except Exception as failure:  # a compiler's errors have no common class
        reason = str(failure).split("\n")[0]
        log.warning("the attention kernels do not run here, a slower way is used: %s", reason)
        return False
    # A row without a seat may see the prefix or not; but NaN would stay in its page.
    error = float(np.max((np.abs(got - expected) / (1 + np.abs(expected)))[seated]))
    if not (error < _TOLERANCE[jnp.dtype(dtype).name] and np.all(np.isfinite(got))):
        log.warning("the attention kernels are off by %.2g here, so a slower way is used; please report this", error)
        return False
    return True


def _attend(
    way: Reading, dtype: jnp.dtype, kv_heads: int, queries: int, width: int, page_size: int, seats: int, prefix: int
) -> tuple[np.ndarray, np.ndarray]:
    """Attends rows to random pages: the first slot is full, the last one empty, and the last row sits nowhere.

    Returns:
        The attention, fp32 [B, K, Q, H], and bool [B], which rows have a seat.
    """
    random = np.random.default_rng(0)
    slots = 3 + 32 // seats  # enough rows that some give each key a weight that shows
    taken = random.random(slots * seats) < 0.7
    taken[:seats], taken[-seats:] = True, False
    places = random.permutation(np.flatnonzero(taken))
    rows = len(places) + 1
    seat_of = np.append(places, slots * seats).astype(np.int32)
    members = np.full(slots * seats, rows, np.int32)
    members[places] = np.arange(rows - 1)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(random.standard_normal(shape), jnp.bfloat16).astype(dtype)  # the same numbers in any dtype

    def keys_values(*shape: int) -> KeysValues:
        return draw(*shape, width), draw(*shape, width)

    def table(owners: int) -> PageTable:
        pool = owners * _PAGES
        numbers = random.permutation(pool).reshape(owners, _PAGES)
        counts = np.arange(owners) % (_PAGES + 1)
        pages = np.where(np.arange(_PAGES)[None] < counts[:, None], numbers, pool).astype(np.int32)
        owner = np.zeros(pool, np.int32)
        for one, own in enumerate(pages):
            owner[own[own < pool]] = one
        whole = np.full(1, pool, np.int32), np.full(1, _PAGES, np.int32)
        return PageTable(*map(jnp.asarray, (owner, pages, *whole)))

    of_rows, of_slots = table(rows), table(slots)
    filled = random.integers(1, page_size + 1, slots * _PAGES).astype(np.int32)
    filled[:: _PAGES + 1] = page_size
    operands = (
        _SHARPNESS * draw(rows, kv_heads, queries, width),
        keys_values(rows, kv_heads, page_size),
        keys_values(rows * _PAGES, kv_heads, page_size),
        keys_values(slots * _PAGES, kv_heads, page_size),
        keys_values(kv_heads, prefix) if prefix else None,
    )

    columns = jnp.arange(rows, dtype=jnp.int32) * 5 % page_size

    def run(query, current, history, prompts, prefix, filled, members, seat_of):  # type: ignore[no-untyped-def]
        own = OwnPages(current, columns, history, of_rows)
        shared = SharedPages(prompts, filled, of_slots, members, seat_of, prefix)
        return paged_attention.attend(query, own, shared, None, "ch", way).astype(jnp.float32)

    tables = jnp.asarray(filled), jnp.asarray(members.reshape(slots, seats)), jnp.asarray(seat_of)
    return np.asarray(jax.jit(run)(*operands, *tables)), seat_of < slots * seats
