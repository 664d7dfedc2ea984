"""One device equals eight, on every mesh and with sizes that do not divide."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.model import architecture, partition
from rft_jax.model.llama import Llama, forward
from rft_jax.runtime import AXES, make_mesh

MESHES = [(1, 8, 1), (1, 4, 2), (2, 2, 2), (8, 1, 1), (1, 1, 8)]
CONFIGS = {
    "gqa": architecture.size("tiny-gqa"),
    "three-heads-32001": dataclasses.replace(
        architecture.size("tiny"), heads=3, kv_heads=3, head_width=8, width=24, vocabulary=32001
    ),
    "tied-with-all-options": dataclasses.replace(
        architecture.size("tiny-gqa"),
        tied_embeddings=True,
        qkv_bias=True,
        output_bias=True,
        query_key_norm=True,
        window=2,
        full_layers=1,
    ),
}


def loss_and_gradients(model, tokens, segments, positions):
    def loss(model):
        hidden = forward(model, tokens, segments, positions, dtype=jnp.float32, remat="full")
        logits = model.logits(hidden)
        target = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2) == tokens[:, :, None]
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - jnp.sum(jnp.where(target, logits, 0.0), axis=-1))

    return jax.value_and_grad(loss)(model)


@pytest.fixture(scope="module", params=CONFIGS)
def single(request):
    """A model, a batch and what one device makes of them."""
    config = CONFIGS[request.param]
    model = Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True)
    model = jax.tree.map(lambda leaf: leaf + 0.01, model)  # biases start at zero
    tokens = jax.random.randint(jax.random.key(1), (8, 6), 0, config.vocabulary)
    segments = jnp.array([[1, 1, 1, 2, 2, 0]] * 8, jnp.int32)
    positions = jnp.array([[0, 1, 2, 0, 1, 0]] * 8, jnp.int32)
    batch = (tokens, segments, positions)
    return model, batch, jax.jit(loss_and_gradients)(model, *batch)


@pytest.mark.parametrize("sizes", MESHES, ids=str)
def test_eight_devices_equal_one(single, sizes):
    model, batch, (expected_loss, expected_gradients) = single
    mesh = make_mesh(*sizes)
    with jax.set_mesh(mesh):
        model = jax.device_put(model, partition.shardings(model, mesh))
        batch = [jax.device_put(x, partition.sharding("tokens", x.shape, mesh)) for x in batch]
        loss, gradients = jax.jit(loss_and_gradients)(model, *batch)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    for (path, leaf), expected in zip(
        jax.tree.leaves_with_path(gradients), jax.tree.leaves(expected_gradients), strict=True
    ):
        np.testing.assert_allclose(leaf, expected, atol=1e-6, rtol=1e-4, err_msg=jax.tree_util.keystr(path))
        assert leaf.sharding.spec == partition.sharding(partition.role_of(path), leaf.shape, mesh).spec


def test_parameters_are_split_over_all_devices():
    """A table that quietly repeated everything everywhere would pass the test above."""
    config = dataclasses.replace(architecture.size("tiny"), vocabulary=256)
    mesh = make_mesh(1, 4, 2)
    model = Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True)
    model = jax.device_put(model, partition.shardings(model, mesh))
    for path, leaf in jax.tree.leaves_with_path(model):
        parts = 1 if "norm" in partition.role_of(path) else 8
        assert leaf.addressable_shards[0].data.size * parts == leaf.size, jax.tree_util.keystr(path)


@pytest.mark.parametrize(
    ("role", "shape", "sizes", "expected"),
    [
        ("embedding", (32000, 4096), (1, 4, 2), P("tensor", "fsdp")),
        ("embedding", (32001, 4096), (1, 4, 2), P(None, "fsdp")),
        ("key", (8, 128, 8192), (1, 1, 8), P("tensor", None, "fsdp")),
        ("key", (3, 128, 8192), (1, 1, 8), P(None, None, "fsdp")),
        ("key", (80, 8, 128, 8192), (1, 4, 2), P(None, "tensor", None, "fsdp")),
        ("tokens", (8, 5), (2, 4, 1), P(("data", "fsdp"), None)),
        ("tokens", (6, 5), (2, 4, 1), P("data", None)),
        ("tokens", (1, 5), (2, 4, 1), P(None, None)),
    ],
)
def test_spec_leaves_out_what_does_not_divide(role, shape, sizes, expected):
    mesh = make_mesh(*sizes)
    spec = partition.spec(role, shape, mesh)
    # An axis of one device may be named or not: compare where the tensor lies.
    assert NamedSharding(mesh, spec).is_equivalent_to(NamedSharding(mesh, expected), len(shape))


def test_spec_refuses_a_wrong_rank():
    with pytest.raises(ValueError, match="query has 3 dimensions"):
        partition.spec("query", (4, 8), make_mesh(1, 8, 1))


def test_every_parameter_has_a_role():
    for stacked in (True, False):
        model = jax.eval_shape(
            lambda stacked=stacked: Llama(
                CONFIGS["tied-with-all-options"], jax.random.key(0), dtype=jnp.float32, stacked=stacked
            )
        )
        assert {partition.role_of(path) for path, _ in jax.tree.leaves_with_path(model)} <= set(partition.TABLE)
    axes = {axis for spec in partition.TABLE.values() for entry in spec if entry for axis in np.atleast_1d(entry)}
    assert axes == set(AXES)
