"""The whole model of a checkpoint of adapters, one tensor at a time: those of its base, with what was learnt added."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import optax

from rft_jax.errors import UserError
from rft_jax.hf import fingerprint, located, names, weights
from rft_jax.model import adapters as low_rank
from rft_jax.runtime import make_mesh
from rft_jax.train import checkpoint
from rft_jax.train.origin import Origin
from rft_jax.train.step import abstract_state


def tensors(step: Path, origin: Origin, dtype: np.dtype) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the model's tensors under their Hugging Face names.

    Args:
        step: folder of a checkpoint of adapters.
        origin: what it belongs to.
        dtype: to cast them to.

    Raises:
        UserError: the base model is not where it was, or is another now.
    """
    assert origin.lora is not None
    config = origin.architecture
    base = located.model(origin.model)
    if not base.is_dir() or not fingerprint.same(fingerprint.of_weights(base), origin.model_fingerprint):
        raise UserError(
            f"{step} holds adapters of {origin.model}, which is not there now, or is another: put it back, or take "
            "the run's own export"
        )
    found = weights.find(base)
    abstract = abstract_state(config, optax.identity(), make_mesh(1, 1, 1, jax.devices()[:1]), origin.lora.adapters)
    adapters = checkpoint.restore(step, abstract).model
    assert isinstance(adapters, low_rank.Adapters)
    places = {row.name.format(layer): (row.role, layer) for row in names.TABLE for layer in range(config.layers)}
    merged = jax.jit(low_rank.merged)
    for name, shape in names.shapes(config).items():
        stored = found[name]
        tensor = stored.array.astype(origin.lora.base)
        stored.file.release(stored.array)
        role, layer = places[name]
        if (pair := adapters.of(role)) is not None:
            a, b = (each[layer] for each in pair)
            tensor = np.asarray(merged(tensor.reshape(*b.shape[:-1], *a.shape[1:]), a, b, adapters.scale))
        yield name, tensor.astype(dtype).reshape(shape)
