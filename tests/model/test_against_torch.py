"""Our Llama and its relatives beside transformers' torch models on the same random weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.hf import pretrained
from rft_jax.model.llama import forward
from tests.model.conftest import KINDS, Batch, random_batch

TOLERANCE = 1e-4


@jax.jit
def our_logits(model, batch):
    hidden = forward(model, batch["tokens"], batch["segments"], batch["positions"], dtype=jnp.float32)
    return model.logits(hidden)


@jax.jit
def our_loss_gradients(model, batch):
    def loss(model):
        hidden = forward(model, batch["tokens"], batch["segments"], batch["positions"], dtype=jnp.float32, remat="full")
        log_probabilities = jax.nn.log_softmax(model.logits(hidden)[:, :-1])
        return -jnp.mean(jnp.take_along_axis(log_probabilities, batch["tokens"][:, 1:, None], axis=-1))

    return jax.grad(loss)(model)


def torch_logits(model, batch: Batch, mask=None):
    import torch

    with torch.no_grad():
        return model(
            input_ids=torch.tensor(batch.tokens).long(),
            position_ids=torch.tensor(batch.positions).long(),
            attention_mask=None if mask is None else torch.tensor(mask).long(),
        ).logits.numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_logits(make_pair, kind):
    pair = make_pair(kind)
    batch = random_batch(pair.stacked.config.vocabulary)
    expected = torch_logits(pair.torch, batch)
    assert np.abs(expected).max() > 0.5  # logits that are nearly zero would agree whatever the model does
    np.testing.assert_allclose(our_logits(pair.stacked, dataclasses.asdict(batch)), expected, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(our_logits(pair.apart, dataclasses.asdict(batch)), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", ["llama1", "linear-scaling", "llama3.1-128256", "llama3.2-tied"])
@pytest.mark.parametrize("offset", [60, 2000])
def test_long_positions(make_pair, kind, offset):
    pair = make_pair(kind)
    batch = random_batch(pair.stacked.config.vocabulary)
    # Uneven steps: attention sees differences only, and equal steps would hide a wrong frequency's absolute part.
    positions = np.int32(offset) + batch.positions * np.int32(3)
    batch = dataclasses.replace(batch, positions=positions)
    expected = torch_logits(pair.torch, batch)
    np.testing.assert_allclose(our_logits(pair.stacked, dataclasses.asdict(batch)), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding(make_pair, side):
    pair = make_pair("llama2-gqa")
    batch = random_batch(pair.stacked.config.vocabulary)
    length = batch.tokens.shape[1]
    real = np.array([length, 1, 5, 7, 2, 11, 3, 9])[:, None]
    slots = np.arange(length)[None]
    mask = (slots < real if side == "right" else slots >= length - real).astype(np.int32)
    positions = np.maximum(np.cumsum(mask, axis=1, dtype=np.int32) - 1, 0)
    batch = Batch(batch.tokens, mask, positions)
    expected = torch_logits(pair.torch, batch, mask)
    logits = np.asarray(our_logits(pair.stacked, dataclasses.asdict(batch)))
    np.testing.assert_allclose(logits[mask == 1], expected[mask == 1], atol=TOLERANCE, rtol=0)


# The other options are in these, several at a time.
ONE_BY_ONE = ("llama-biases", "mistral-window", "mistral-wide-window", "mistral-nemo", "qwen2-tied", "qwen3-tied")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] if kind in ONE_BY_ONE else [])
        for kind in KINDS
        if kind != "llama3.1-128256"
    ],
)
def test_gradients(make_pair, kind, tmp_path):
    import torch

    pair = make_pair(kind)
    batch = random_batch(pair.stacked.config.vocabulary)
    tokens = torch.tensor(batch.tokens).long()
    pair.torch.zero_grad()
    pair.torch(input_ids=tokens, labels=tokens).loss.backward()
    gradients = type(pair.torch)(pair.torch.config)
    with torch.no_grad():
        for target, source in zip(gradients.parameters(), pair.torch.parameters(), strict=True):
            target.copy_(source.grad)
    gradients.save_pretrained(tmp_path)  # torch's gradients take the weights' way into our layout

    for stacked, model in ((True, pair.stacked), (False, pair.apart)):
        expected = pretrained.load(tmp_path, dtype=jnp.float32, stacked=stacked)
        ours = our_loss_gradients(model, dataclasses.asdict(batch))
        for path, expected_leaf in jax.tree.leaves_with_path(expected):
            leaf = dict(jax.tree.leaves_with_path(ours))[path]
            error = jnp.linalg.norm(leaf - expected_leaf) / jnp.linalg.norm(expected_leaf)
            assert error < TOLERANCE, f"{jax.tree_util.keystr(path)}: relative error {error}"


def test_bf16_follows_fp32(make_pair):
    """bf16 keeps 8 bits, so logits of size 10 may be off by some hundredths; a lost cast or norm is off by far more."""
    pair = make_pair("llama2-gqa")
    batch = dataclasses.asdict(random_batch(pair.stacked.config.vocabulary))
    exact = our_logits(pair.stacked, batch)
    hidden = forward(pair.stacked, batch["tokens"], batch["segments"], batch["positions"], dtype=jnp.bfloat16)
    logits = pair.stacked.logits(hidden)
    assert logits.dtype == jnp.bfloat16
    relative = jnp.linalg.norm(logits.astype(jnp.float32) - exact) / jnp.linalg.norm(exact)
    assert relative < 0.03
