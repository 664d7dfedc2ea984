"""Kernels that do not compile, or give something else, are not used."""

import jax.numpy as jnp
import pytest

from rft_jax.sample.kv import walk_kernel
from rft_jax.sample.kv.kernel_check import kernel_agrees

SHAPE = {"kv_heads": 2, "queries": 3, "width": 32, "page_size": 16}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kernels_agree(dtype):
    assert kernel_agrees(**SHAPE, dtype=jnp.dtype(dtype))


def test_wrong_kernels_are_not_used(monkeypatch, caplog):
    right = walk_kernel.attend
    monkeypatch.setattr(
        walk_kernel, "attend", lambda *arguments, **options: right(*arguments, **options).at[0, 0, 0, 0].add(1.0)
    )
    assert not kernel_agrees(**SHAPE, dtype=jnp.dtype("float32"))
    assert "are off by" in caplog.text


def test_kernels_that_do_not_compile_are_not_used(monkeypatch, caplog):
    def fails(*arguments, **options):
        raise RuntimeError("no Triton here\nand more")

    monkeypatch.setattr(walk_kernel, "attend", fails)
    assert not kernel_agrees(**SHAPE, dtype=jnp.dtype("float32"))
    assert caplog.messages == ["the attention kernels do not run here, a slower way is used: no Triton here"]
