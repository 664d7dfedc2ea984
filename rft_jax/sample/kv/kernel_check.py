"""Whether the GPU kernel may be used here: it is compared with the plain way on this machine before each run."""

import logging

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax.sample.kv import paged_attention
from rft_jax.sample.kv.paged_attention import PageTable, Reading

log = logging.getLogger(__name__)

_TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 1e-2}  # of attention to values of size 1


def kernel_agrees(*, kv_heads: int, queries: int, width: int, page_size: int, dtype: jnp.dtype) -> bool:
    """Returns whether the kernel compiles for this device and gives what a sweep gives; says so where it does not.

    Args:
        kv_heads: K on one device.
        queries: Q, of a key-value head and row.
        width: H.
        page_size: C.
        dtype: of keys and values.
    """
    rows, pool, each = 6, 32, 4
    random = np.random.default_rng(0)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(random.standard_normal(shape), dtype)

    numbers = random.permutation(pool)[: rows * each].reshape(rows, each)
    counts = np.array([each, 0, 1, 2, 3, each])
    pages = np.where(np.arange(each)[None] < counts[:, None], numbers, pool).astype(np.int32)
    owner = np.zeros(pool, np.int32)
    for row in range(rows):
        owner[pages[row, : counts[row]]] = row
    table = PageTable(*map(jnp.asarray, (owner, pages, np.full(1, pool, np.int32), np.full(1, each, np.int32))))
    history = draw(pool, kv_heads, page_size, width), draw(pool, kv_heads, page_size, width)
    current = draw(rows, kv_heads, page_size, width), draw(rows, kv_heads, page_size, width)
    positions = np.arange(page_size)[None]
    seen = jnp.asarray(positions <= random.integers(0, page_size, (rows, 1)))
    valid = jnp.asarray(positions >= random.integers(0, page_size, (pool, 1)))
    query = draw(rows, kv_heads, queries, width)

    def attend(way: Reading) -> np.ndarray:
        def run(*operands: jax.Array) -> jax.Array:
            query, key, value, old_key, old_value = operands
            pages = (key, value), seen, (old_key, old_value), valid, table
            return paged_attention.merge(*paged_attention.own(query, *pages, order="ch", reading=way))

        return np.asarray(jax.jit(run)(query, *current, *history))

    try:
        error = float(np.max(np.abs(attend(Reading("kernel")) - attend(Reading("sweep")))))
    except Exception as failure:  # a compiler's errors have no common class
        log.warning("the attention kernel does not run here, a slower way is used: %s", str(failure).split("\n")[0])
        return False
    if not error < _TOLERANCE[jnp.dtype(dtype).name]:
        log.warning("the attention kernel is off by %.2g here, so a slower way is used; please report this", error)
        return False
    return True
