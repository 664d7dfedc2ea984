"""Kernels that do not compile, or give something else, are not used."""

import jax.numpy as jnp
import pytest

from rft_jax.sample.kv import walk_kernel
from rft_jax.sample.kv.kernel_check import kernel_agrees

SHAPE = {"kv_heads": 2, "queries": 3, "width": 32, "page_size": 16, "seats": 4, "prefix": 19}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("changed", [{}, {"prefix": 0}, {"seats": 1, "queries": 1}, {"seats": 32}], ids=str)
def test_the_kernels_agree(dtype, changed):
    assert kernel_agrees(**SHAPE | changed, dtype=jnp.dtype(dtype))


@pytest.mark.parametrize("more", [1, -1])
@pytest.mark.parametrize("changed", [{}, {"prefix": 0}], ids=str)
def test_a_key_too_many_or_too_few_shows(monkeypatch, caplog, more, changed):
    """Also at the lower precision."""
    right = walk_kernel._add
    monkeypatch.setattr(
        walk_kernel,
        "_add",
        lambda asked, keys, values, count, *rest: right(asked, keys, values, count + more, *rest),
    )
    assert not kernel_agrees(**SHAPE | changed, dtype=jnp.dtype("bfloat16"))
    assert "are off by" in caplog.text


def test_kernels_that_do_not_compile_are_not_used(monkeypatch, caplog):
    def fails(*arguments, **options):
        raise RuntimeError("no Triton here\nand more")

    monkeypatch.setattr(walk_kernel, "attend", fails)
    assert not kernel_agrees(**SHAPE, dtype=jnp.dtype("float32"))
    assert caplog.messages == ["the attention kernels do not run here, a slower way is used: no Triton here"]
