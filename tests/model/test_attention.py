"""Plain attention, which goes in blocks of queries, against the whole square of scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.model import attention, flash


def whole_square(query, key, value, segments):
    repeats = query.shape[2] // key.shape[2]
    key, value = (jnp.repeat(x, repeats, axis=2) for x in (key, value))
    scores = jnp.einsum("btnh,bsnh->bnts", query, key) / query.shape[-1] ** 0.5
    same = segments[:, :, None] == segments[:, None, :]
    seen = (same | (segments == flash.SHARED)[:, None, :]) & np.tri(segments.shape[1], dtype=bool)[None]
    return jnp.einsum("bnts,bsnh->btnh", jax.nn.softmax(jnp.where(seen[:, None], scores, -jnp.inf)), value)


@pytest.mark.parametrize("length", [1, 128, 300])
def test_blocks_make_the_whole_square(length):
    keys = jax.random.split(jax.random.key(length), 3)
    query = jax.random.normal(keys[0], (2, length, 4, 8))
    key, value = (jax.random.normal(k, (2, length, 2, 8)) for k in keys[1:])
    # What all share at the beginning, segments that begin inside blocks, padding.
    layout = [np.repeat([flash.SHARED, 1, 2, 0], [20, 90, 150, 40]), np.repeat([1, 2, 3, 0], [130, 60, 100, 10])]
    segments = jnp.asarray(np.stack(layout)[:, :length], jnp.int32)

    def loss_and_gradients(attend):
        return jax.value_and_grad(lambda *x: (attend(*x, segments) ** 2).sum(), argnums=(0, 1, 2))(query, key, value)

    found, expected = (loss_and_gradients(attend) for attend in (attention.segment_attention, whole_square))
    for ours, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5 * np.abs(other).max())
