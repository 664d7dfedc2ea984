"""Cached decoding equals the full forward, on one device and on eight."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.model import architecture, cache, partition
from rft_jax.model.llama import Llama, forward, stack_layers
from rft_jax.runtime import make_mesh

F32 = jnp.float32
PROMPTS, SAMPLES, NEW = 4, 3, 5
CONFIGS = {
    "gqa": architecture.size("tiny-gqa"),
    "three-heads": dataclasses.replace(architecture.size("tiny"), heads=3, kv_heads=3, head_width=8, width=24),
    "scaled": dataclasses.replace(
        architecture.size("tiny"), rope_scaling=architecture.Llama3Scaling(8.0, 1.0, 4.0, 16), tied_embeddings=True
    ),
}


def decode(model, prompts, lengths, responses):
    """Returns the logits after the prompt and after each given token: [G, 1 + NEW, W, V]."""
    first, prompt_cache = jax.jit(cache.prefill, static_argnames="dtype")(model, prompts, lengths, dtype=F32)
    suffix = cache.empty_suffix(model, PROMPTS, SAMPLES, NEW, F32)
    step = jax.jit(cache.step, static_argnames="dtype", donate_argnums=3)
    logits = [np.repeat(np.asarray(first)[:, None], SAMPLES, axis=1)]
    for i in range(NEW):
        tokens = partition.place(jnp.asarray(responses[:, :, i]), "tokens")
        after, suffix = step(model, tokens, prompt_cache, suffix, dtype=F32)
        logits.append(np.asarray(after))
    return np.stack(logits, axis=1)


@pytest.mark.parametrize("kind", CONFIGS)
def test_cached_equals_full(kind):
    config = CONFIGS[kind]
    model = jax.tree.map(lambda x: 4 * x, Llama(config, jax.random.key(0), dtype=F32, stacked=False))
    rng = np.random.default_rng(0)
    lengths = np.array([1, 7, 4, 6], np.int32)
    prompts = rng.integers(0, config.vocabulary, (PROMPTS, 7)).astype(np.int32)
    responses = rng.integers(0, config.vocabulary, (PROMPTS, SAMPLES, NEW)).astype(np.int32)
    cached = decode(model, jnp.asarray(prompts), jnp.asarray(lengths), responses)

    full_forward = jax.jit(lambda model, *batch: model.logits(forward(model, *batch, dtype=F32)))
    for problem, length in enumerate(lengths):
        for sample in range(SAMPLES):
            sequence = np.concatenate([prompts[problem, :length], responses[problem, sample]])[None]
            positions = np.arange(sequence.shape[1], dtype=np.int32)[None]
            full = full_forward(stack_layers(model), sequence, np.ones_like(sequence), positions)
            np.testing.assert_allclose(cached[problem, :, sample], full[0, length - 1 :], atol=2e-5, rtol=1e-5)

    for sizes in [(1, 8, 1), (1, 4, 2), (2, 2, 2), (1, 1, 8)]:
        mesh = make_mesh(*sizes)
        with jax.set_mesh(mesh):
            on_mesh = jax.device_put(model, partition.shardings(model, mesh))
            placed = partition.place(jnp.asarray(prompts), "tokens"), partition.place(jnp.asarray(lengths), "lengths")
            np.testing.assert_allclose(decode(on_mesh, *placed, responses), cached, atol=2e-5, rtol=1e-5)


def test_step_updates_the_cache_in_place():
    """A copied cache would show as temporaries of its size in the compiled program."""
    config = dataclasses.replace(architecture.size("tiny"), vocabulary=64)
    model = Llama(config, jax.random.key(0), dtype=F32, stacked=False)
    prompts, lengths = jnp.ones((2, 4), jnp.int32), jnp.full((2,), 4, jnp.int32)
    _, prompt_cache = jax.jit(cache.prefill, static_argnames="dtype")(model, prompts, lengths, dtype=F32)
    suffix = cache.empty_suffix(model, 2, 8, 4096, F32)
    step = jax.jit(cache.step, static_argnames="dtype", donate_argnums=3)
    compiled = step.lower(model, jnp.ones((2, 8), jnp.int32), prompt_cache, suffix, dtype=F32).compile()
    cache_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(suffix))
    memory = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= cache_bytes
    assert memory.temp_size_in_bytes < 0.15 * cache_bytes


def test_a_stacked_model_is_refused():
    model = Llama(architecture.size("tiny"), jax.random.key(0), dtype=F32, stacked=True)
    with pytest.raises(ValueError, match="unstack"):
        cache.prefill(model, jnp.ones((1, 2), jnp.int32), jnp.ones((1,), jnp.int32), F32)
