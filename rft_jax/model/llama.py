"""The Llama decoder (arXiv 2302.13971, 2307.09288, 2407.21783) as a plain pytree, and its relatives by options.

Every transform around it is JAX's own (jit, grad, scan, checkpoint). Training keeps the layers stacked and scans them,
so that compile time does not grow with depth; sampling keeps them apart, because a scanned cache is copied at every
step.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from rft_jax.errors import UserError, did_you_mean
from rft_jax.model import rope
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.attention import Implementation, segment_attention
from rft_jax.model.layers import INITIAL_STDDEV, Attend, Layer, embed, rms_norm, unembed

REMAT: dict[str, Callable[..., Any] | None] = {
    "none": None,  # keep every activation
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,  # keep the results of the weight products
    "full": jax.checkpoint_policies.nothing_saveable,  # keep each layer's input only: a third more FLOPs
}


# As `layers.Attend`; the window of the layer comes by name.
WindowedAttend = Callable[..., tuple[jax.Array, Any]]


class Llama(nnx.Module):
    """A Llama language model, or one of its relatives (`LlamaConfig`).

    Attributes:
        embedding: [V, D].
        layers: one Layer whose parameters have a leading axis L (stacked), or a list of L layers.
        final_norm: [D].
        head: [V, D], or None when the embedding table serves as the head.
    """

    def __init__(self, config: LlamaConfig, key: jax.Array, *, dtype: jnp.dtype, stacked: bool) -> None:
        self.config = config
        embedding_key, head_key, layers_key = jax.random.split(key, 3)
        layer_keys = jax.random.split(layers_key, config.layers)
        table = (config.vocabulary, config.width)
        self.embedding = nnx.Param(INITIAL_STDDEV * jax.random.normal(embedding_key, table, dtype))
        make_layer = functools.partial(Layer, config, dtype=dtype)
        self.layers = jax.vmap(make_layer)(layer_keys) if stacked else nnx.List(make_layer(k) for k in layer_keys)
        self.final_norm = nnx.Param(jnp.ones(config.width, dtype))
        self.head = (
            None if config.tied_embeddings else nnx.Param(INITIAL_STDDEV * jax.random.normal(head_key, table, dtype))
        )

    @property
    def stacked(self) -> bool:
        """Whether the layers are stacked along a leading axis."""
        return isinstance(self.layers, Layer)

    def hidden(
        self,
        tokens: jax.Array,
        positions: jax.Array,
        attend: WindowedAttend,
        caches: Sequence[Any] | None = None,
        *,
        dtype: jnp.dtype,
        remat: str = "none",
    ) -> tuple[jax.Array, list[Any]]:
        """Runs all layers.

        Args:
            tokens, positions: int32 [B, T].
            attend: how a layer attends, and what becomes of its cache; as `layers.Attend`, and it takes the layer's
                `window`, as in `LlamaConfig`, by name.
            caches: one cache a layer, for unstacked layers; None when there are none to read.
            dtype: of the computation; parameters are cast to it where they are used.
            remat: a name in REMAT, for stacked layers.

        Returns:
            The normed hidden states [B, T, D], and what `attend` returned as each layer's cache (none when stacked).
        """
        x = embed(self.embedding[...], tokens, dtype)
        rotary = rope.angles(self.config, positions)
        new_caches: list[Any] = []
        if self.stacked and caches is not None:
            raise ValueError("stacked layers have no caches: unstack the model first")
        for layers, window in self.config.spans():
            attend_within = functools.partial(attend, window=window)
            if self.stacked:
                x = self._scan(layers, x, rotary, attend_within, remat)
                continue
            for number in layers:
                x, cache = self.layers[number](x, rotary, attend_within, caches[number] if caches else None)
                new_caches.append(cache)
        return rms_norm(x, self.final_norm[...], self.config.rms_epsilon), new_caches

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Returns the logits [B, T, V] of hidden states [B, T, D], in their dtype."""
        return unembed(hidden, self.output_table)

    @property
    def output_table(self) -> jax.Array:
        """The table [V, D] that turns hidden states into logits."""
        return (self.embedding if self.head is None else self.head)[...]

    def _scan(
        self, layers: range, x: jax.Array, rotary: tuple[jax.Array, jax.Array], attend: Attend, remat: str
    ) -> jax.Array:
        def body(x: jax.Array, layer: Layer) -> tuple[jax.Array, None]:
            x, _ = layer(x, rotary, attend, None)
            return x, None

        if remat not in REMAT:
            raise UserError(f"unknown remat policy '{remat}'{did_you_mean(remat, REMAT)}; known: {', '.join(REMAT)}")
        if (policy := REMAT[remat]) is not None:
            body = jax.checkpoint(body, policy=policy, prevent_cse=False)  # a scan already keeps CSE out
        # Mostly all of them: only where some layers have a window and others have none are they cut, and so copied.
        some = len(layers) < self.config.layers
        stack = jax.tree.map(lambda leaf: leaf[layers.start : layers.stop], self.layers) if some else self.layers
        return jax.lax.scan(body, x, stack)[0]


def forward(
    model: Llama,
    tokens: jax.Array,
    segments: jax.Array,
    positions: jax.Array,
    *,
    dtype: jnp.dtype,
    remat: str = "none",
    attention: Implementation = "xla",
) -> jax.Array:
    """Runs the model over whole sequences, several per row where they are packed.

    Args:
        tokens: int32 [B, T].
        segments: int32 [B, T]; tokens of one sequence share a number, 0 is padding.
        positions: int32 [B, T], counted from 0 in each sequence.
        dtype: of the computation.
        remat: what to keep for the backward pass, a name in REMAT.
        attention: which implementation computes it.

    Returns:
        Hidden states [B, T, D]; `model.logits` makes logits of them.
    """

    def attend(
        _: None, query: jax.Array, key: jax.Array, value: jax.Array, *, window: int | None
    ) -> tuple[jax.Array, None]:
        context = segment_attention(query, key, value, segments, positions, window=window, implementation=attention)
        return context, None

    hidden, _ = model.hidden(tokens, positions, attend, dtype=dtype, remat=remat)
    return hidden


def stack_layers(model: Llama) -> Llama:
    """Returns the model with its layers stacked along a leading axis, for training."""
    if model.stacked:
        return model
    return _with_layers(model, jax.tree.map(lambda *leaves: jnp.stack(leaves), *model.layers))


def unstack_layers(model: Llama) -> Llama:
    """Returns the model with unstacked layers, for sampling."""
    if not model.stacked:
        return model
    layers = [jax.tree.map(lambda leaf, i=i: leaf[i], model.layers) for i in range(model.config.layers)]
    return _with_layers(model, nnx.List(layers))


def _with_layers(model: Llama, layers: Layer | nnx.List) -> Llama:
    changed = jax.tree.map(lambda leaf: leaf, model)  # a copy of the structure, sharing the arrays
    changed.layers = layers
    return changed
