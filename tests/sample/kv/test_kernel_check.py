"""Kernels that do not compile, or give something else, are not used."""

import jax.numpy as jnp
import pytest

from rft_jax.sample.kv import walk_kernel
from rft_jax.sample.kv.kernel_check import kernel_agrees

SHAPE = {"kv_heads": 2, "queries": 3, "width": 32, "page_size": 16}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kernels_agree(dtype):
    assert kernel_agrees(**SHAPE, dtype=jnp.dtype(dtype))


@pytest.mark.parametrize("name", ["walk_rows", "walk_prompts"])
def test_a_wrong_kernel_is_not_used(monkeypatch, caplog, name):
    right = getattr(walk_kernel, name)

    def wrong(*arguments, **options):
        top, weight, context = right(*arguments, **options)
        return top, weight, context.at[0, 0, 0, 0].add(1.0)

    monkeypatch.setattr(walk_kernel, name, wrong)
    assert not kernel_agrees(**SHAPE, dtype=jnp.dtype("float32"))
    assert "are off by" in caplog.text


@pytest.mark.parametrize("name", ["walk_rows", "walk_prompts"])
def test_a_kernel_that_does_not_compile_is_not_used(monkeypatch, caplog, name):
    def fails(*arguments, **options):
        raise RuntimeError("no Triton here\nand more")

    monkeypatch.setattr(walk_kernel, name, fails)
    assert not kernel_agrees(**SHAPE, dtype=jnp.dtype("float32"))
    assert caplog.messages == ["the attention kernels do not run here, a slower way is used: no Triton here"]
