"""Plain attention, which goes in blocks of queries, against the whole square of scores; and rows after a prefix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.model import attention, flash


def whole_square(query, key, value, segments, positions, window=None):
    repeats = query.shape[2] // key.shape[2]
    key, value = (jnp.repeat(x, repeats, axis=2) for x in (key, value))
    scores = jnp.einsum("btnh,bsnh->bnts", query, key) / query.shape[-1] ** 0.5
    same = segments[:, :, None] == segments[:, None, :]
    seen = (same | (segments == flash.SHARED)[:, None, :]) & np.tri(segments.shape[1], dtype=bool)[None]
    if window is not None:  # as transformers' sliding_window_overlay has it
        seen &= positions[:, None, :] > positions[:, :, None] - window
    return jnp.einsum("bnts,bsnh->btnh", jax.nn.softmax(jnp.where(seen[:, None], scores, -jnp.inf)), value)


@pytest.mark.parametrize(("length", "window"), [(1, None), (128, None), (300, None), (300, 30)])
def test_blocks_make_the_whole_square(length, window):
    keys = jax.random.split(jax.random.key(length), 3)
    query = jax.random.normal(keys[0], (2, length, 4, 8))
    key, value = (jax.random.normal(k, (2, length, 2, 8)) for k in keys[1:])
    # What all share at the beginning, segments that begin inside blocks, padding.
    layout = [np.repeat([flash.SHARED, 1, 2, 0], [20, 90, 150, 40]), np.repeat([1, 2, 3, 0], [130, 60, 100, 10])]
    segments = jnp.asarray(np.stack(layout)[:, :length], jnp.int32)
    counts = [(20, 90, 150, 40), (130, 60, 100, 10)]
    rows = [np.concatenate([np.arange(n) for n in each]) for each in counts]
    rows[0][20:260] += 20  # segments go on from what they share
    positions = jnp.asarray(np.stack(rows)[:, :length], jnp.int32)

    def loss_and_gradients(attend):
        def loss(*x):
            return (attend(*x, segments, positions, window=window) ** 2).sum()

        return jax.value_and_grad(loss, argnums=(0, 1, 2))(query, key, value)

    found, expected = (loss_and_gradients(attend) for attend in (attention.segment_attention, whole_square))
    for ours, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("window", [None, 1, 4, 9])
def test_rows_after_a_prefix_attend_as_whole_rows(window):
    shared, length = 6, 7
    keys = jax.random.split(jax.random.key(0), 3)
    query = jax.random.normal(keys[0], (2, length, 4, 8))
    key, value = (jax.random.normal(k, (2, length, 2, 8)) for k in keys[1:])
    before = [jax.random.normal(jax.random.key(i), (2, shared, 8)) for i in (1, 2)]  # [K, P, H]
    segments = jnp.asarray([[1] * length, [1] * 5 + [0] * 2], jnp.int32)
    found = attention.prefixed_attention(query, key, value, *before, segments, window=window)

    whole = [
        jnp.concatenate([jnp.stack([x.swapaxes(0, 1)] * 2), y], axis=1)
        for x, y in zip(before, (key, value), strict=True)
    ]
    marks = jnp.concatenate([jnp.full((2, shared), flash.SHARED, jnp.int32), segments], axis=1)
    positions = jnp.broadcast_to(jnp.arange(shared + length)[None], marks.shape)
    padded = jnp.pad(query, ((0, 0), (shared, 0), (0, 0), (0, 0)))
    expected = whole_square(padded, *whole, marks, positions, window)[:, shared:]
    np.testing.assert_allclose(found, expected, atol=1e-5)
