"""Forward, gradient and decode step lower for platforms that are not here."""

import jax
import jax.numpy as jnp
import pytest

from rft_jax.model import architecture, cache
from rft_jax.model.llama import Llama, forward

BF16 = jnp.bfloat16


def abstract(stacked):
    config = architecture.size("tiny-gqa")
    return jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=BF16, stacked=stacked))


def training_loss(model, tokens):
    ones = jnp.ones_like(tokens)
    hidden = forward(model, tokens, ones, jnp.cumsum(ones, axis=1) - 1, dtype=BF16, remat="full")
    return jnp.mean(model.logits(hidden).astype(jnp.float32))


def decode(model, prompts, tokens):
    _, prompt_cache = cache.prefill(model, prompts, jnp.full(prompts.shape[:1], 3, jnp.int32), BF16)
    suffix = cache.empty_suffix(model, *tokens.shape, 4, BF16)
    return cache.step(model, tokens, prompt_cache, suffix, BF16)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lowers(platform):
    int32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)  # noqa: E731
    programs = [
        (jax.grad(training_loss), abstract(stacked=True), int32(4, 8)),
        (decode, abstract(stacked=False), int32(2, 5), int32(2, 3)),
    ]
    for function, *arguments in programs:
        lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,))
        assert "stablehlo.dot_general" in lowered.as_text()
