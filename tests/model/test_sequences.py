"""What a token may depend on: earlier tokens of its own segment, and nothing else. No oracle needed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.errors import UserError
from rft_jax.model import architecture
from rft_jax.model.llama import Llama, forward, stack_layers, unstack_layers

WINDOW = 3


@pytest.fixture(scope="module")
def model():
    return sharp(architecture.size("tiny-gqa"))


@pytest.fixture(scope="module", params=["all", "window"])
def seeing(request, model):
    """A model that sees all, and one with a window."""
    # More layers than one would hand on what none of them sees.
    within = dataclasses.replace(model.config, layers=1, window=WINDOW)
    return model if request.param == "all" else sharp(within)


def sharp(config):
    model = Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True)
    return jax.tree.map(lambda leaf: 5 * leaf, model)  # at the initial scale, attention is too flat to show a leak


@jax.jit
def hidden(model, tokens, segments, positions):
    return forward(model, tokens, segments, positions, dtype=jnp.float32)


def sensitivity(model, segments, positions):
    """Returns [T, T]: how much the hidden state of each token (rows) changes with the embedding of each (columns)."""
    length = segments.shape[1]
    tokens = jnp.arange(length, dtype=jnp.int32)[None]  # every token has a row of the embedding to itself

    def hidden_of(table):
        changed = jax.tree.map(lambda leaf: leaf, model)
        changed.embedding[...] = table
        return hidden(changed, tokens, segments, positions)[0].sum(-1)

    jacobian = jax.jacrev(hidden_of)(model.embedding[...])  # [T, V, D]
    return np.abs(np.asarray(jacobian)).sum(-1)[:, :length]


def test_causal(seeing):
    length = 9
    influence = sensitivity(seeing, jnp.ones((1, length), jnp.int32), jnp.arange(length, dtype=jnp.int32)[None])
    np.testing.assert_array_equal(influence > 0, seen(seeing, np.tri(length, dtype=bool)))


def seen(model, whole):
    """Returns which tokens a model sees, bool [T, T], given those that it would see without a window."""
    window = model.config.window
    return whole if window is None else whole & ~np.tri(len(whole), k=-window, dtype=bool)


def test_segments_do_not_see_each_other(seeing):
    segments = jnp.array([[1, 1, 1, 1, 2, 3, 0, 0]], jnp.int32)
    positions = jnp.array([[0, 1, 2, 3, 0, 0, 0, 0]], jnp.int32)
    influence = sensitivity(seeing, segments, positions)
    same = np.asarray(segments[0][:, None] == segments[0][None, :])
    np.testing.assert_array_equal(influence > 0, seen(seeing, same & np.tri(8, dtype=bool)))


def test_packed_equals_unpacked(seeing):
    rng = np.random.default_rng(0)
    lengths = [5, 3, 7, 1]
    sequences = [rng.integers(0, 256, length).astype(np.int32) for length in lengths]
    packed = np.concatenate([*sequences, np.zeros(4, np.int32)])[None]
    segments = np.concatenate([np.full(n, i + 1, np.int32) for i, n in enumerate(lengths)] + [np.zeros(4, np.int32)])
    positions = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths] + [np.zeros(4, np.int32)])
    together = hidden(seeing, packed, segments[None], positions[None])[0]
    start = 0
    for sequence in sequences:
        n = len(sequence)
        alone = hidden(seeing, sequence[None], np.ones((1, n), np.int32), np.arange(n, dtype=np.int32)[None])[0]
        np.testing.assert_allclose(together[start : start + n], alone, atol=1e-5, rtol=1e-5)
        start += n


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_remat_changes_nothing(model, remat):
    tokens = jax.random.randint(jax.random.key(1), (2, 6), 0, 256)
    ones = jnp.ones((2, 6), jnp.int32)
    positions = jnp.cumsum(ones, axis=1) - 1

    def loss(model, remat):
        return jnp.sum(forward(model, tokens, ones, positions, dtype=jnp.float32, remat=remat) ** 2)

    gradients = jax.jit(jax.grad(loss), static_argnums=1)
    plain, saved = gradients(model, "none"), gradients(model, remat)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(a).max()), plain, saved)


def test_unknown_remat_names_the_nearest(model):
    ones = jnp.ones((1, 2), jnp.int32)
    with pytest.raises(UserError, match=r"'ful'.*did you mean 'full'"):
        forward(model, ones, ones, ones, dtype=jnp.float32, remat="ful")


def test_stacking_is_a_bijection(model):
    apart = unstack_layers(model)
    assert not apart.stacked
    jax.tree.map(np.testing.assert_array_equal, stack_layers(apart), model)


def test_parameters_are_counted(model):
    assert sum(leaf.size for leaf in jax.tree.leaves(model)) == model.config.parameters
