"""Where a run starts: its last checkpoint, else a given one, else a pretrained model, else random weights."""

import dataclasses
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import located, pretrained
from rft_jax.model import architecture, partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.llama import Llama
from rft_jax.train import checkpoint
from rft_jax.train.checkpoint import Checkpoints
from rft_jax.train.step import TrainState, abstract_state, make_state

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the weights of a new run come from.

    Attributes:
        name: for people.
        fingerprint: of the weights.
        architecture: of the model.
        tokenizer: the folder that the source says its tokenizer is in, or None.
        load: makes the model, fp32 with stacked layers, on a mesh.
    """

    name: str
    fingerprint: str
    architecture: LlamaConfig
    tokenizer: str | None
    load: Callable[[Mesh], Llama]


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
        return Source(
            name=given,
            fingerprint=_digest(origin.model_fingerprint, origin.data_fingerprint, step.name),
            architecture=origin.architecture,
            tokenizer=origin.tokenizer,
            load=lambda mesh: _load_checkpoint(step, origin.architecture, mesh),
        )
    if model:
        folder = located.model(model)
        config = hf_config.read(folder)
        return Source(
            name=model,
            fingerprint=weights_fingerprint(folder),
            architecture=config,
            tokenizer=model,
            load=lambda mesh: pretrained.load(folder, mesh, dtype=jnp.float32, stacked=True),
        )
    if size:
        config = architecture.size(size)
        return Source(
            name=f"random weights {size}, seed {seed}",
            fingerprint=_digest(str(config), str(seed)),
            architecture=config,
            tokenizer=None,
            load=lambda mesh: _random_model(config, seed, mesh),
        )
    raise UserError("nothing to start from: give --config.model=DIR, or --config.checkpoint=DIR or --config.size=NAME")


def first_state(
    checkpoints: Checkpoints, new: Source, optimizer: optax.GradientTransformation, mesh: Mesh, steps: int
) -> TrainState:
    """Returns the state of the last checkpoint of this run, or a new one from the source.

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
        return checkpoints.restore(step, abstract_state(new.architecture, optimizer, mesh))
    log.info("starting from %s", new.name)
    return make_state(new.load(mesh), optimizer, mesh)


def _load_checkpoint(folder: Path, config: LlamaConfig, mesh: Mesh) -> Llama:
    abstract = abstract_state(config, optax.identity(), mesh)
    return checkpoint.restore(folder, abstract).model


def _random_model(config: LlamaConfig, seed: int, mesh: Mesh) -> Llama:
    def make() -> Llama:
        return Llama(config, jax.random.key(seed), dtype=jnp.float32, stacked=True)

    return jax.jit(make, out_shardings=partition.shardings(jax.eval_shape(make), mesh))()


def weights_fingerprint(folder: Path) -> str:
    """Returns a hash of a model folder: its config.json, and of each weight file the size and samples of the bytes."""
    digest = hashlib.sha256()
    weights = sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".bin"))
    for path in [folder / "config.json", *weights]:
        if not path.is_file():
            raise UserError(f"{folder} has no {path.name}: give a folder in Hugging Face's format")
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            # Reading 140 GB would take minutes; two trainings of one model differ everywhere, so samples tell.
            for part in range(8):
                file.seek(size * part // 8)
                digest.update(file.read(65536))
    return digest.hexdigest()[:16]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
