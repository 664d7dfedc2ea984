"""Whether the GPU kernels may be used here: they are compared with the plain way on this machine before each run."""

import logging

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax.sample.kv import paged_attention
from rft_jax.sample.kv.paged_attention import Reading
from rft_jax.sample.kv.tables import OwnPages, PageTable, SharedPages

log = logging.getLogger(__name__)

_TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 1e-2}  # of attention to values of size 1


def kernel_agrees(*, kv_heads: int, queries: int, width: int, page_size: int, dtype: jnp.dtype) -> bool:
    """Returns whether the kernels compile for this device and give what a sweep gives; says so where they do not.

    Args:
        kv_heads: K on one device.
        queries: Q, of a key-value head and row.
        width: H.
        page_size: C.
        dtype: of keys and values.
    """
    rows, pool, each, seats = 6, 32, 4, 3
    random = np.random.default_rng(0)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(random.standard_normal(shape), dtype)

    def table() -> PageTable:  # of rows, or of as many slots
        numbers = random.permutation(pool)[: rows * each].reshape(rows, each)
        counts = np.array([each, 0, 1, 2, 3, each])
        pages = np.where(np.arange(each)[None] < counts[:, None], numbers, pool).astype(np.int32)
        owner = np.zeros(pool, np.int32)
        for row in range(rows):
            owner[pages[row, : counts[row]]] = row
        return PageTable(*map(jnp.asarray, (owner, pages, np.full(1, pool, np.int32), np.full(1, each, np.int32))))

    history, prompts = (
        (draw(pool, kv_heads, page_size, width), draw(pool, kv_heads, page_size, width)) for _ in range(2)
    )
    current = draw(rows, kv_heads, page_size, width), draw(rows, kv_heads, page_size, width)
    prefix = draw(kv_heads, page_size + 3, width), draw(kv_heads, page_size + 3, width)
    query = draw(rows, kv_heads, queries, width)
    of_rows, of_slots = table(), table()
    places = random.permutation(rows * seats)[:rows].astype(np.int32)  # the last row has none
    places[-1] = rows * seats
    members = np.full(rows * seats, rows, np.int32)
    members[places[:-1]] = np.arange(rows - 1)
    filled = jnp.asarray(random.integers(1, page_size + 1, pool), jnp.int32)
    now = jnp.int32(page_size // 2)

    def attend(way: Reading, dtype: jnp.dtype) -> np.ndarray:
        def run(query: jax.Array, *pools: tuple[jax.Array, jax.Array]) -> jax.Array:
            history, prompts, current, prefix = pools
            own = OwnPages(current, now, history, of_rows)
            at = jnp.asarray(members.reshape(rows, seats)), jnp.asarray(places)
            return paged_attention.attend(query, own, SharedPages(prompts, filled, of_slots, *at, prefix), "ch", way)

        operands = jax.tree.map(lambda x: x.astype(dtype), (query, history, prompts, current, prefix))
        # The last row is idle, so it may see the prefix or not.
        return np.asarray(jax.jit(run)(*operands).astype(jnp.float32))[:-1]

    try:
        error = float(np.max(np.abs(attend(Reading("kernel"), dtype) - attend(Reading("sweep"), jnp.dtype("float32")))))
    except Exception as failure:  # a compiler's errors have no common class
        log.warning("the attention kernels do not run here, a slower way is used: %s", str(failure).split("\n")[0])
        return False
    if not error < _TOLERANCE[jnp.dtype(dtype).name]:
        log.warning("the attention kernels are off by %.2g here, so a slower way is used; please report this", error)
        return False
    return True
