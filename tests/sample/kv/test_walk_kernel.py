"""The GPU kernel, interpreted on CPU, gives what a sweep and dense attention give, and says what it cannot read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.sample.kv import paged_attention, walk_kernel
from rft_jax.sample.kv.paged_attention import PageTable, Reading

ROWS, HEADS, PAGE_SIZE, WIDTH, POOL = 5, 2, 16, 32, 12
PAGES = [[7, 2, 11], [], [0], [4, 9], [1, 3, 8]]  # of each row; the others are free, and hold NaN


@pytest.fixture(params=[1, 3, 96])
def operands(request):
    """Query, current page and history, as for `paged_attention.own`; 96 queries are more than one program takes."""
    rng = np.random.default_rng(request.param)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    owner, pages = np.zeros(POOL, np.int32), np.full((ROWS, 3), POOL, np.int32)
    for row, numbers in enumerate(PAGES):
        owner[numbers], pages[row, : len(numbers)] = row, numbers
    used = np.isin(np.arange(POOL), [page for pages in PAGES for page in pages])[:, None, None, None]
    history = tuple(jnp.where(used, draw(POOL, HEADS, PAGE_SIZE, WIDTH), jnp.nan) for _ in range(2))
    current = tuple(draw(ROWS, HEADS, PAGE_SIZE, WIDTH) for _ in range(2))
    positions = np.arange(PAGE_SIZE)[None]
    seen, valid = positions <= np.array([[0], [3], [15], [7], [8]]), positions >= rng.integers(0, 16, (POOL, 1))
    table = PageTable(*map(jnp.asarray, (owner, pages, np.full(1, POOL, np.int32), np.full(1, 3, np.int32))))
    query = draw(ROWS, HEADS, request.param, WIDTH)
    return query, current, jnp.asarray(seen), history, jnp.asarray(valid), table


def attention(way, operands):
    parts = jax.jit(lambda *x: paged_attention.own(*x, order="ch", reading=Reading(way, pages=4, columns=2)))(*operands)
    assert len(parts) == (1 if way == "kernel" else 2)  # the kernel adds up the current page itself
    return paged_attention.add(*parts)


def test_equals_the_sweep(operands):
    for got, expected in zip(attention("kernel", operands), attention("sweep", operands), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_row_without_pages_sees_nothing(operands):
    query, _, _, history, valid, table = operands
    got = paged_attention.paged(query, *history, valid, table, "ch", Reading("kernel"))
    assert np.all(got.top[1] == paged_attention.EMPTY)
    assert not np.any(got.weight[1])
    assert not np.any(got.context[1])
    assert np.all(got.weight[0] > 0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((9, 2, 16, 128), True), ((9, 2, 16, 80), False), ((9, 2, 8, 64), False), ((2**20, 2, 16, 64), False)],
)
def test_takes_what_triton_takes(shape, expected):
    assert walk_kernel.supports(jax.ShapeDtypeStruct(shape, jnp.bfloat16)) == expected
