"""Where a run starts: its last checkpoint, else a given one, else a pretrained model, else random weights."""

import dataclasses
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import fingerprint, located, pretrained
from rft_jax.model import architecture, partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.llama import Llama
from rft_jax.model.lora import Lora
from rft_jax.train import checkpoint
from rft_jax.train.checkpoint import Checkpoints
from rft_jax.train.step import TrainState, abstract_model, abstract_state, make_adapters, make_state

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the weights of a new run come from.

    Attributes:
        name: for people.
        fingerprint: of the weights.
        architecture: of the model.
        tokenizer: the folder that the source says its tokenizer is in, or None.
        load: makes the model with stacked layers, on a mesh and in a dtype.
    """

    name: str
    fingerprint: str
    architecture: LlamaConfig
    tokenizer: str | None
    load: Callable[[Mesh, jnp.dtype], Llama]


def source(given: str | None, model: str | None, size: str | None, seed: int) -> Source:
    """Returns where a new run's weights come from: a given checkpoint, else a pretrained model, else random.

    Args:
        given: folder of a step of some training run; its weights are taken, its moments and step are not.
        model: folder of a Hugging Face model.
        size: name of an architecture to fill with random weights.
        seed: of the random weights.

    Raises:
        UserError: none of the three is given, or what is given is not there.
    """
    if given:
        step = located.whole(given)
        origin = checkpoint.read_origin(step)
        if origin.lora is not None:
            raise UserError(
                f"{given} holds adapters, not a model: give the run's exported model as --config.model, or make one: "
                f"python launch/convert.py --checkpoint={given} --output=DIR"
            )
        return Source(
            name=given,
            fingerprint=_digest(origin.model_fingerprint, origin.data_fingerprint, step.name),
            architecture=origin.architecture,
            tokenizer=origin.tokenizer,
            load=lambda mesh, dtype: _load_checkpoint(step, origin.architecture, mesh, dtype),
        )
    if model:
        folder = located.model(model)
        config = hf_config.read(folder)
        return Source(
            name=model,
            fingerprint=fingerprint.of_weights(folder),
            architecture=config,
            tokenizer=model,
            load=lambda mesh, dtype: pretrained.load(folder, mesh, dtype=dtype, stacked=True),
        )
    if size:
        config = architecture.size(size)
        return Source(
            name=f"random weights {size}, seed {seed}",
            fingerprint=_digest(str(config), str(seed)),
            architecture=config,
            tokenizer=None,
            load=lambda mesh, dtype: _random_model(config, seed, mesh, dtype),
        )
    raise UserError("nothing to start from: give --config.model=DIR, or --config.checkpoint=DIR or --config.size=NAME")


def first_state(
    checkpoints: Checkpoints,
    new: Source,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    steps: int,
    lora: Lora | None,
    seed: int,
) -> TrainState:
    """Returns the state of the last checkpoint of this run, or a new one.

    Args:
        checkpoints: of the run.
        new: where the weights of a new run come from.
        optimizer: of the run.
        mesh: the devices.
        steps: of the whole run.
        lora: the adapters that are trained in place of the source's weights, or None.
        seed: of their first values.

    Raises:
        UserError: the checkpoint has more steps behind it than the whole run is to have.
    """
    if (step := checkpoints.latest) is not None:
        if step > steps:
            raise UserError(
                f"the checkpoint has {step} steps behind it, and this run is of {steps}: give the same epochs as "
                "before, or another --workdir"
            )
        log.info("resuming after step %d", step)
        return checkpoints.restore(step, abstract_state(new.architecture, optimizer, mesh, lora))
    log.info("starting from %s", new.name)
    model = make_adapters(lora, new.architecture, seed, mesh) if lora else new.load(mesh, jnp.dtype(jnp.float32))
    return make_state(model, optimizer, mesh)


def _load_checkpoint(folder: Path, config: LlamaConfig, mesh: Mesh, dtype: jnp.dtype) -> Llama:
    state = abstract_state(config, optax.identity(), mesh)
    state = dataclasses.replace(state, model=abstract_model(config, mesh, dtype))
    return cast(Llama, checkpoint.restore(folder, state).model)


def _random_model(config: LlamaConfig, seed: int, mesh: Mesh, dtype: jnp.dtype) -> Llama:
    def make() -> Llama:
        model = Llama(config, jax.random.key(seed), dtype=jnp.float32, stacked=True)
        return jax.tree.map(lambda x: x.astype(dtype), model)

    return jax.jit(make, out_shardings=partition.shardings(jax.eval_shape(make), mesh))()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
