"""Cross-entropy of hidden states against an output table, in chunks, so that the logits of all tokens never exist.

Each chunk's logits are computed once and give the loss and both gradients, so the backward pass only scales. Tokens of
weight 0 (prompts, padding) are skipped: half of GSM8K's.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from rft_jax.model import partition

# Gradients with regard to hidden states [B, T, D] and table [V, D].
Gradients = tuple[jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def cross_entropy(hidden: jax.Array, table: jax.Array, targets: jax.Array, weights: jax.Array, chunk: int) -> jax.Array:
    """Returns the sum over tokens of weight × negative log-likelihood of the target, fp32 [].

    Args:
        hidden: [B, T, D] in the compute dtype; B divides over data × fsdp.
        table: [V, D], the parameter; it is cast to the compute dtype. Where V is split, each device computes its
            own part of the logits.
        targets: int32 [B, T].
        weights: fp32 [B, T]; 0 leaves a token out.
        chunk: tokens per device whose logits, fp32 [chunk, V], exist at once.
    """
    return _loss_and_gradients(hidden, table, targets, weights, chunk)[0]


def _forward(
    hidden: jax.Array, table: jax.Array, targets: jax.Array, weights: jax.Array, chunk: int
) -> tuple[jax.Array, Gradients]:
    return _loss_and_gradients(hidden, table, targets, weights, chunk)


def _backward(chunk: int, gradients: Gradients, scale: jax.Array) -> tuple[jax.Array, jax.Array, None, None]:
    by_hidden, by_table = gradients
    return by_hidden * scale.astype(by_hidden.dtype), by_table * scale.astype(by_table.dtype), None, None


cross_entropy.defvjp(_forward, _backward)


def _loss_and_gradients(
    hidden: jax.Array, table: jax.Array, targets: jax.Array, weights: jax.Array, chunk: int
) -> tuple[jax.Array, Gradients]:
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return _on_one_device(hidden, table, targets, weights, chunk, None, None, ())
    if hidden.shape[0] % math.prod(mesh.shape[axis] for axis in partition.BATCH):
        raise ValueError(f"{hidden.shape[0]} rows do not divide over {partition.BATCH} of the mesh {mesh.shape}")
    by_vocabulary, by_width = partition.spec("head", table.shape, mesh)
    tokens = partition.spec("tokens", targets.shape, mesh)
    wide = partition.spec("hidden", hidden.shape, mesh)
    on_each = functools.partial(
        _on_one_device, chunk=chunk, by_vocabulary=by_vocabulary, by_width=by_width, by_tokens=partition.BATCH
    )
    specs = (wide, P(by_vocabulary, by_width), tokens, tokens)
    # The gradients are written out, so JAX need not track which values vary over which axis.
    return jax.shard_map(on_each, in_specs=specs, out_specs=(P(), (wide, specs[1])), check_vma=False)(
        hidden, table, targets, weights
    )


def _on_one_device(
    hidden: jax.Array,
    table: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    chunk: int,
    by_vocabulary: str | None,
    by_width: str | None,
    by_tokens: tuple[str, ...],
) -> tuple[jax.Array, Gradients]:
    """Returns the loss of all devices, and this device's part of the gradients.

    Args:
        hidden, table, targets, weights: this device's part of `cross_entropy`'s.
        chunk: tokens at once.
        by_vocabulary, by_width: the mesh axes that split the table's two dimensions, if any.
        by_tokens: the mesh axes that split the tokens.
    """
    tokens, targets, weights = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1), weights.reshape(-1)
    whole_table = table.astype(hidden.dtype)
    if by_width:
        whole_table = jax.lax.all_gather(whole_table, by_width, axis=1, tiled=True)
    rows = whole_table.shape[0]
    row = jnp.arange(rows, dtype=jnp.int32)
    if by_vocabulary:
        row = row + rows * jax.lax.axis_index(by_vocabulary)

    chunk = min(chunk, len(targets))
    # Tokens with a weight come first, and the loop ends after them. The last chunk is padded with an index out of
    # bounds, where reads give 0 and writes are dropped.
    order = jnp.argsort(weights == 0, stable=True).astype(jnp.int32)
    order = jnp.pad(order, (0, -len(order) % chunk), constant_values=len(order))
    chunks = (jnp.count_nonzero(weights).astype(jnp.int32) + (chunk - 1)) // chunk
    if by_tokens:
        chunks = jax.lax.pmax(chunks, by_tokens)  # the same on all devices, since the body communicates

    def add_chunk(i: jax.Array, carry: tuple[jax.Array, Gradients]) -> tuple[jax.Array, Gradients]:
        loss, (by_hidden, by_table) = carry
        at = jax.lax.dynamic_slice_in_dim(order, i * chunk, chunk)
        x, target, weight = (_take(values, at) for values in (tokens, targets, weights))
        logits = jnp.einsum("td,vd->tv", x, whole_table, preferred_element_type=jnp.float32)
        hit = row[None, :] == target[:, None]
        top = _over(jax.lax.pmax, logits.max(axis=1), by_vocabulary)
        exponentials = jnp.exp(logits - top[:, None])
        total = _over(jax.lax.psum, exponentials.sum(axis=1), by_vocabulary)
        of_target = _over(jax.lax.psum, jnp.where(hit, logits, 0).sum(axis=1), by_vocabulary)
        loss += (weight * (jnp.log(total) + top - of_target)).sum()
        by_logits = weight[:, None] * (exponentials / total[:, None] - hit.astype(jnp.float32))
        by_logits = by_logits.astype(x.dtype)
        by_hidden = by_hidden.at[at].set(jnp.einsum("tv,vd->td", by_logits, whole_table), mode="drop")
        by_table += jnp.einsum("tv,td->vd", by_logits, x, preferred_element_type=jnp.float32)
        return loss, (by_hidden, by_table)

    nothing = jnp.float32(0), (jnp.zeros_like(tokens), jnp.zeros(whole_table.shape, jnp.float32))
    loss, (by_hidden, by_table) = jax.lax.fori_loop(0, chunks, add_chunk, nothing)
    by_hidden = _over(jax.lax.psum, by_hidden, by_vocabulary)
    for axis in by_tokens:
        if axis == by_width:
            by_table = jax.lax.psum_scatter(by_table, axis, scatter_dimension=1, tiled=True)
        else:
            by_table = jax.lax.psum(by_table, axis)
    loss = _over(jax.lax.psum, loss, by_tokens or None)
    return loss, (by_hidden.reshape(hidden.shape), by_table.astype(table.dtype))


def _take(values: jax.Array, at: jax.Array) -> jax.Array:
    return values.at[at].get(mode="fill", fill_value=0)


def _over(collective, x: jax.Array, axes: str | tuple[str, ...] | None) -> jax.Array:  # type: ignore[no-untyped-def]
    return collective(x, axes) if axes else x
