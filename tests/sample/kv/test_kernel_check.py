"""A kernel that does not compile, or gives something else, is not used."""

import jax.numpy as jnp
import pytest

from rft_jax.sample.kv import walk_kernel
from rft_jax.sample.kv.kernel_check import kernel_agrees

SHAPE = {"kv_heads": 2, "queries": 3, "width": 32, "page_size": 16}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kernel_agrees(dtype):
    assert kernel_agrees(**SHAPE, dtype=jnp.dtype(dtype))


def test_a_wrong_kernel_is_not_used(monkeypatch, caplog):
    right = walk_kernel.walk

    def wrong(query, keys, values, valid, pages, current, *, empty):
        return right(query, keys, values, jnp.ones_like(valid), pages, current, empty=empty)

    monkeypatch.setattr(walk_kernel, "walk", wrong)
    assert not kernel_agrees(**SHAPE, dtype=jnp.dtype("float32"))
    assert "is off by" in caplog.text


def test_a_kernel_that_does_not_compile_is_not_used(monkeypatch, caplog):
    def fails(*arguments, **options):
        raise RuntimeError("no Triton here\nand more")

    monkeypatch.setattr(walk_kernel, "walk", fails)
    assert not kernel_agrees(**SHAPE, dtype=jnp.dtype("float32"))
    assert caplog.messages == ["the attention kernel does not run here, a slower way is used: no Triton here"]
