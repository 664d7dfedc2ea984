"""The GPU kernels, interpreted on CPU, give what a sweep gives, and say what they cannot read."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.sample.kv import paged_attention, walk_kernel
from rft_jax.sample.kv.paged_attention import Reading
from rft_jax.sample.kv.tables import OwnPages, PageTable, SharedPages

ROWS, HEADS, PAGE_SIZE, WIDTH, POOL = 5, 2, 16, 32, 12
PAGES = [[7, 2, 11], [], [0], [4, 9], [1, 3, 8]]  # of each row or slot; the others are free, and hold NaN
SWEEP, KERNEL = Reading("sweep", pages=4, columns=2), Reading("kernel")
# Slots of up to 4 rows; nobody sits in the third, row 3 nowhere.
MEMBERS = np.array([[2, 5, 5, 4], [5, 0, 5, 5], [5, 5, 5, 5], [5, 5, 1, 5], [5, 5, 5, 5]], np.int32)
SEATS = np.array([5, 14, 0, 20, 3], np.int32)


class Operands:
    """Random queries and pools, whose free pages hold NaN."""

    def __init__(self, queries):
        rng = np.random.default_rng(queries)
        draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
        owner, pages = np.zeros(POOL, np.int32), np.full((ROWS, 3), POOL, np.int32)
        for row, numbers in enumerate(PAGES):
            owner[numbers], pages[row, : len(numbers)] = row, numbers
        used = np.isin(np.arange(POOL), [page for pages in PAGES for page in pages])[:, None, None, None]
        self.history, self.prompts = (
            tuple(jnp.where(used, draw(POOL, HEADS, PAGE_SIZE, WIDTH), jnp.nan) for _ in range(2)) for _ in range(2)
        )
        self.current = tuple(draw(ROWS, HEADS, PAGE_SIZE, WIDTH) for _ in range(2))
        self.filled = jnp.asarray(rng.integers(1, PAGE_SIZE + 1, POOL), jnp.int32)
        self.table = PageTable(*map(jnp.asarray, (owner, pages, np.full(1, POOL, np.int32), np.full(1, 3, np.int32))))
        self.query = draw(ROWS, HEADS, queries, WIDTH)
        self.prefix = {length: tuple(draw(HEADS, length, WIDTH) for _ in range(2)) for length in (5, 16, 41)}


# 96 queries of a head, or 3 for each of 4 seats, are more than one program takes.
CASES = [*itertools.product([1, 3], [0, 7, 15], [None, 5, 16, 41]), (96, 7, 41)]


@pytest.mark.parametrize(("queries", "now", "prefix"), CASES)
def test_equal_the_sweep(queries, now, prefix):
    operands = Operands(queries)
    columns = (now + PAGE_SIZE // 2 * (np.arange(ROWS, dtype=np.int32) % 2)) % PAGE_SIZE

    def attention(reading):
        def attend(query, current, columns, history, table, prompts, filled, prefix):
            own = OwnPages(current, columns, history, table)
            shared = SharedPages(prompts, filled, table, jnp.asarray(MEMBERS), jnp.asarray(SEATS), prefix)
            return paged_attention.attend(query, own, shared, None, "ch", reading)

        return jax.jit(attend)(
            operands.query, operands.current, jnp.asarray(columns), operands.history, operands.table, operands.prompts,
            operands.filled, operands.prefix.get(prefix),
        )  # fmt: skip

    got, expected = attention(KERNEL), attention(SWEEP)
    seated = np.arange(ROWS) != 3
    np.testing.assert_allclose(got[seated], expected[seated], atol=1e-5)
    assert np.all(np.isfinite(got))
    if prefix is None:  # an idle row may see the prefix or not
        np.testing.assert_allclose(got[~seated], expected[~seated], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((9, 2, 16, 128), True), ((9, 2, 16, 80), False), ((9, 2, 8, 64), False), ((2**20, 2, 16, 64), False)],
)
def test_takes_what_triton_takes(shape, expected):
    assert walk_kernel.supports(jax.ShapeDtypeStruct(shape, jnp.bfloat16)) == expected
