"""The chunked loss equals the plain one, with its gradients, on any mesh; and it is small."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.model import partition
from rft_jax.runtime import make_mesh
from rft_jax.train.loss import cross_entropy

ROWS, LENGTH, WIDTH = 8, 12, 16


def arguments(vocabulary: int):
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = jax.random.normal(keys[0], (ROWS, LENGTH, WIDTH))
    table = 0.3 * jax.random.normal(keys[1], (vocabulary, WIDTH))
    targets = jax.random.randint(keys[2], (ROWS, LENGTH), 0, vocabulary)
    weights = jax.random.uniform(keys[3], (ROWS, LENGTH))
    weights = jnp.where(weights < 0.4, 0, weights).at[3].set(0)  # rows differ, and one has nothing to learn from
    return hidden, table, targets, weights


def plain(hidden, table, targets, weights):
    logits = jnp.einsum("btd,vd->btv", hidden, table)
    likelihood = jax.nn.log_softmax(logits, axis=-1)
    return -(weights * jnp.take_along_axis(likelihood, targets[:, :, None], axis=-1)[..., 0]).sum()


def both(function, *values):
    return jax.value_and_grad(function, argnums=(0, 1))(*values)


def assert_equal(found, expected):
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, other, atol=2e-6 * np.abs(other).max())


@pytest.mark.parametrize("chunk", [1, 7, 32, 96, 1000])
def test_equals_the_plain_loss(chunk):
    values = arguments(37)
    assert_equal(both(lambda *x: cross_entropy(*x, chunk), *values), both(plain, *values))


@pytest.mark.parametrize("vocabulary", [40, 37])  # 37: as 32001, not divisible by anything
@pytest.mark.parametrize("sizes", [(1, 8, 1), (2, 2, 2), (1, 2, 4), (8, 1, 1)])
def test_equals_the_plain_loss_on_a_mesh(sizes, vocabulary):
    values = arguments(vocabulary)
    expected = both(plain, *values)
    mesh = make_mesh(*sizes)
    with jax.set_mesh(mesh):
        roles = ("hidden", "head", "tokens", "tokens")
        placed = [
            jax.device_put(x, partition.sharding(role, x.shape, mesh)) for role, x in zip(roles, values, strict=True)
        ]
        found = jax.jit(lambda *x: both(lambda *y: cross_entropy(*y, 5), *x))(*placed)
        assert found[1][1].sharding.spec == partition.spec("head", values[1].shape, mesh)
    assert_equal(jax.device_get(found), expected)


def test_the_gradient_scales_with_what_comes_after():
    values = arguments(37)
    doubled = both(lambda *x: 2 * cross_entropy(*x, 16), *values)
    assert_equal(doubled, both(lambda *x: 2 * plain(*x), *values))


def test_bf16_hidden_states_get_fp32_logits():
    hidden, table, targets, weights = arguments(37)
    rounded, rounded_table = (x.astype(jnp.bfloat16).astype(jnp.float32) for x in (hidden, table))
    loss = cross_entropy(rounded.astype(jnp.bfloat16), table, targets, weights, 16)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, plain(rounded, rounded_table, targets, weights), rtol=1e-6)
    gradients = jax.grad(cross_entropy, argnums=(0, 1))(rounded.astype(jnp.bfloat16), table, targets, weights, 16)
    assert [gradient.dtype for gradient in gradients] == [jnp.bfloat16, jnp.float32]


def test_logits_far_from_zero():
    hidden, table, targets, weights = arguments(37)
    values = (1e3 * hidden, table, targets, weights)
    assert_equal(both(lambda *x: cross_entropy(*x, 16), *values), both(plain, *values))


def largest_with(vocabulary: int, function, *values) -> int:
    """Returns the most elements of an array in the compiled program that has a dimension of the vocabulary's size."""
    text = jax.jit(function).lower(*values).compile().as_text()
    shapes = [tuple(map(int, shape.split(","))) for shape in re.findall(r"\b(?:f32|bf16)\[([\d,]+)\]", text)]
    return max(math.prod(shape) for shape in shapes if vocabulary in shape)


def test_the_program_never_holds_the_logits_of_all_tokens():
    vocabulary, chunk = 4099, 8
    values = arguments(vocabulary)
    allowed = vocabulary * max(chunk, WIDTH)  # a chunk's logits, or the table itself
    assert largest_with(vocabulary, lambda *x: both(plain, *x), *values) == ROWS * LENGTH * vocabulary
    assert largest_with(vocabulary, lambda *x: both(lambda *y: cross_entropy(*y, chunk), *x), *values) == allowed


def test_rows_that_do_not_divide_are_refused():
    hidden, table, targets, weights = arguments(37)
    with jax.set_mesh(make_mesh(1, 8, 1)), pytest.raises(ValueError, match="3 rows do not divide"):
        cross_entropy(hidden[:3], table, targets[:3], weights[:3], 8)
