"""Forward, gradient and decode step lower for platforms that are not here."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

from rft_jax.model import architecture
from rft_jax.model.llama import Llama, forward
from rft_jax.sample.kv.decode_step import step
from rft_jax.sample.kv.flush import flush
from rft_jax.sample.kv.paged_attention import Reading
from rft_jax.sample.kv.pages import CacheSizes, empty
from rft_jax.sample.kv.prefill import prefill

BF16 = jnp.bfloat16


def abstract(stacked):
    config = architecture.size("tiny-gqa")
    return jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=BF16, stacked=stacked))


def training_loss(model, tokens):
    ones = jnp.ones_like(tokens)
    hidden = forward(model, tokens, ones, jnp.cumsum(ones, axis=1) - 1, dtype=BF16, remat="full")
    return jnp.mean(model.logits(hidden).astype(jnp.float32))


def decode(model, tokens, lengths, rows, members, way="sweep", page_size=4):
    sizes = CacheSizes(
        rows=6, slots=2, seats=3, samples=3, prompt_pages=4, history_pages=9, prompt_width=2 * page_size,
        response_width=2 * page_size, page_size=page_size, key_order="ch", reading=Reading(way),
    )  # fmt: skip
    state = empty(model, sizes, BF16)
    pages = jnp.arange(4, dtype=jnp.int32).reshape(2, 2)
    state = prefill(model, tokens, lengths, jnp.arange(2, dtype=jnp.int32), pages, state, BF16)
    logits, state = step(model, rows, rows, state, members, rows, 0 * rows, jnp.int32(0), BF16)
    return logits, flush(state, rows > 0, rows > 1, rows)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lowers(platform):
    int32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)  # noqa: E731
    programs = [
        (jax.grad(training_loss), abstract(stacked=True), int32(4, 8)),
        (decode, abstract(stacked=False), int32(2, 8), int32(2), int32(6), int32(2, 3)),
    ]
    for function, *arguments in programs:
        lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,))
        assert "stablehlo.dot_general" in lowered.as_text()


def test_attends_in_one_kernel_on_gpus():
    config = dataclasses.replace(architecture.size("tiny-gqa"), head_width=64)
    model = jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=BF16, stacked=False))
    int32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)  # noqa: E731
    step = functools.partial(decode, way="kernel", page_size=16)
    traced = jax.jit(step).trace(model, int32(2, 32), int32(2), int32(6), int32(2, 3))
    # Per layer one for prompts, and one for history and current page together.
    kernels = traced.lower(lowering_platforms=("cuda",)).as_text().count("@__gpu$xla.gpu.triton")
    assert kernels == 2 * config.layers
