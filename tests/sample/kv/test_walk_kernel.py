"""The GPU kernels, interpreted on CPU, give what a sweep and dense attention give, and say what they cannot read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.sample.kv import paged_attention, walk_kernel
from rft_jax.sample.kv.paged_attention import PageTable, Reading

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
        self.pool = tuple(jnp.where(used, draw(POOL, HEADS, PAGE_SIZE, WIDTH), jnp.nan) for _ in range(2))
        self.current = tuple(draw(ROWS, HEADS, PAGE_SIZE, WIDTH) for _ in range(2))
        self.filled = jnp.asarray(rng.integers(1, PAGE_SIZE + 1, POOL), jnp.int32)
        self.table = PageTable(*map(jnp.asarray, (owner, pages, np.full(1, POOL, np.int32), np.full(1, 3, np.int32))))
        self.query = draw(ROWS, HEADS, queries, WIDTH)
        self.prefix = {length: tuple(draw(HEADS, length, WIDTH) for _ in range(2)) for length in (5, 16, 41)}


@pytest.fixture(params=[1, 3, 96])
def operands(request):
    """With queries of one head; 96, and 3 of the 4 seats of a slot, are more than one program takes."""
    return Operands(request.param)


def assert_equal(got, expected):
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("now", [0, 7, 15])
def test_rows_equal_the_sweep(operands, now):
    def attention(reading):
        own = jax.jit(lambda query, current, now, pool, table: paged_attention.own(
            query, current, now, pool, table, "ch", reading
        ))  # fmt: skip
        parts = own(operands.query, operands.current, jnp.int32(now), operands.pool, operands.table)
        assert len(parts) == (1 if reading is KERNEL else 2)  # the kernel adds up the current page itself
        return paged_attention.add(*parts)

    assert_equal(attention(KERNEL), attention(SWEEP))


@pytest.mark.parametrize("prefix", [None, 5, 16, 41])
def test_prompts_equal_the_sweep(operands, prefix):
    def attention(reading):
        prompts = jax.jit(lambda query, members, seats, pool, filled, table, prefix: paged_attention.prompts(
            query, members, seats, pool, filled, table, prefix, "ch", reading
        ))  # fmt: skip
        return paged_attention.add(*prompts(
            operands.query, jnp.asarray(MEMBERS), jnp.asarray(SEATS), operands.pool, operands.filled, operands.table,
            operands.prefix.get(prefix),
        ))  # fmt: skip

    got, expected = attention(KERNEL), attention(SWEEP)
    seated = np.arange(ROWS) != 3
    assert_equal((x[seated] for x in got), (x[seated] for x in expected))
    assert np.all(got.top[3] == paged_attention.EMPTY)
    assert not np.any(got.weight[3])
    assert not np.any(got.context[3])
    if prefix is None:  # row 0 is of a slot whose prompt is empty
        assert not np.any(got.weight[0])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((9, 2, 16, 128), True), ((9, 2, 16, 80), False), ((9, 2, 8, 64), False), ((2**20, 2, 16, 64), False)],
)
def test_takes_what_triton_takes(shape, expected):
    assert walk_kernel.supports(jax.ShapeDtypeStruct(shape, jnp.bfloat16)) == expected
