"""The fused kernels agree with plain attention, segments and shared heads included; and are chosen by what is there."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.errors import UserError
from rft_jax.model import attention, flash
from rft_jax.runtime import make_mesh


def operands(length: int, heads: int, kv_heads: int):
    """Query, key, value, segments and positions."""
    keys = jax.random.split(jax.random.key(0), 3)
    query = jax.random.normal(keys[0], (2, length, heads, 128))
    key, value = (jax.random.normal(k, (2, length, kv_heads, 128)) for k in keys[1:])
    # Segments that begin inside blocks, and padding at the end.
    segments = np.stack([np.repeat([1, 2, 3, 0], [50, 100, 76, 30]), np.repeat([1, 2, 0], [200, 40, 16])])
    counts = [(50, 100, 76, 30), (200, 40, 16)]
    positions = np.stack([np.concatenate([np.arange(n) for n in each]) for each in counts])
    return query, key, value, *(jnp.asarray(x[:, :length], jnp.int32) for x in (segments, positions))


def loss_and_gradients(attend, query, key, value, *index):
    def loss(query, key, value):
        return (attend(query, key, value, *index) ** 2).sum()

    return jax.value_and_grad(loss, argnums=(0, 1, 2))(query, key, value)


@pytest.mark.parametrize(("kv_heads", "window"), [(2, None), (1, 40)])
def test_splash_is_plain_attention(kv_heads, window):
    values = operands(256, 2, kv_heads)
    found = loss_and_gradients(lambda *x: flash.splash(*x[:4], window, interpret=True), *values)
    expected = loss_and_gradients(functools.partial(attention.segment_attention, window=window), *values)
    for ours, plain in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5 * np.abs(plain).max())


def test_splash_under_a_mesh(monkeypatch):
    plain_splash = flash.splash
    monkeypatch.setattr(flash, "splash", lambda *x: plain_splash(*x, interpret=True))
    values = operands(256, 4, 2)
    expected = attention.segment_attention(*values, window=None)
    with jax.set_mesh(make_mesh(2, 1, 4)):
        attend = functools.partial(attention.segment_attention, window=None, implementation="splash")
        found = jax.jit(attend)(*values)
    np.testing.assert_allclose(jax.device_get(found), expected, atol=2e-5)


def test_splash_refuses_rows_that_are_no_multiple_of_its_blocks():
    query, key, value, segments, _ = operands(200, 2, 2)
    with pytest.raises(UserError, match="rows of a multiple of 128 tokens, not 200: set row_length"):
        flash.splash(query, key, value, segments, None)


@pytest.mark.parametrize(
    ("name", "backend", "dtype", "chosen"),
    [
        ("auto", "cpu", "float32", "xla"),
        ("auto", "gpu", "bfloat16", "cudnn"),
        ("auto", "gpu", "float32", "xla"),
        ("auto", "tpu", "bfloat16", "splash"),
        ("xla", "gpu", "bfloat16", "xla"),
        ("cudnn", "gpu", "bfloat16", "cudnn"),
        ("splash", "tpu", "float32", "splash"),
    ],
)
def test_choice(name, backend, dtype, chosen):
    assert flash.choose(name, backend, jnp.dtype(dtype)) == chosen


@pytest.mark.parametrize(
    ("name", "backend", "dtype", "message"),
    [
        ("cudnn", "gpu", "float32", "needs a CUDA GPU and bfloat16, here are gpu and float32"),
        ("cudnn", "cpu", "bfloat16", "needs a CUDA GPU"),
        ("splash", "gpu", "bfloat16", "needs a TPU, here is gpu"),
        ("flash", "cpu", "float32", "unknown attention 'flash'; known: auto, xla, cudnn, splash"),
    ],
)
def test_refusals(name, backend, dtype, message):
    with pytest.raises(UserError, match=message):
        flash.choose(name, backend, jnp.dtype(dtype))
