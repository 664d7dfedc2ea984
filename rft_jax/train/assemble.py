"""The parts of a run, made from its config: beside the loop, the only place in train/ that sees the config."""

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rft_jax.config import TrainConfig
from rft_jax.data import examples, tokenizer
from rft_jax.data.batches import Batches
from rft_jax.data.examples import Examples
from rft_jax.errors import UserError
from rft_jax.hf import sidecars
from rft_jax.model import flash
from rft_jax.model.architecture import LlamaConfig
from rft_jax.records.problem import read_problems
from rft_jax.train import optimizer
from rft_jax.train.checkpoint import Origin
from rft_jax.train.start import Source
from rft_jax.train.step import Step, make_step

log = logging.getLogger(__name__)


def make_tokenizer_folder(config: TrainConfig, source: Source) -> Path:
    """Returns the folder whose tokenizer the run uses, and its model goes out with."""
    if config.tokenizer:
        return Path(config.tokenizer)
    if source.tokenizer is None:
        raise UserError(f"{source.name} has no tokenizer: give --config.tokenizer=DIR")
    return source.tokenizer


def make_batches(config: TrainConfig, folder: Path, architecture: LlamaConfig, replicas: int) -> Batches:
    """Returns the batches of the run, and tells what is in them.

    Args:
        config: of the run.
        folder: of the tokenizer.
        architecture: of the model that will read them.
        replicas: devices that split the rows.

    Raises:
        UserError: the data or the tokenizer is missing or wrong, or does not go with the model or the mesh.
    """
    if not config.data:
        raise UserError("nothing to train on: give --config.data=FILE, JSONL lines with query and response")
    loaded = tokenizer.load(folder)
    known = examples.tokenise(
        read_problems(config.data),
        lambda texts: loaded(texts, add_special_tokens=False, verbose=False)["input_ids"],
        begin=loaded.bos_token_id if config.begin_token is None else config.begin_token,
        end=_end_token(loaded, folder),
        max_length=config.max_length,
    )
    for what, is_there, limit in (
        ("the token number", int(known.tokens.max()), architecture.vocabulary - 1),
        ("an example of length", int(known.lengths.max()), architecture.max_positions),
    ):
        if is_there > limit:
            raise UserError(
                f"{config.data} with the tokenizer of {folder}: {what} {is_there}, the model ends at {limit}"
            )
    log.info("%s: %s", config.data, examples.describe(known, loaded.decode))
    return batches_of(config, known, replicas)


def batches_of(config: TrainConfig, known: Examples, replicas: int) -> Batches:
    """Returns the batches of a run over these examples; `replicas` is as for `make_batches`."""
    attention = flash.choose(config.attention, jax.default_backend(), compute_dtype(config))
    return Batches(
        examples=known,
        fraction=config.fraction,
        epochs=config.epochs,
        size=config.batch,
        seed=config.seed,
        packing="rows" if config.packing == "prefix" and attention == "splash" else config.packing,
        row_length=config.row_length,
        normalisation=config.loss,
        microbatch=config.microbatch,
        replicas=replicas,
        accumulation=config.accumulation,
    )


def _end_token(loaded: Any, folder: Path) -> int:
    if loaded.eos_token_id is None:
        raise UserError(f"the tokenizer in {folder} has no end token: set eos_token in its tokenizer_config.json")
    ends = sidecars.token_ids(folder).get("eos_token_id", loaded.eos_token_id)
    if loaded.eos_token_id not in (ends if isinstance(ends, list) else [ends]):
        # The model would learn to end with one token, and whoever samples from it would wait for another.
        raise UserError(
            f"{folder}: the tokenizer's end token is {loaded.eos_token_id}, config.json or generation_config.json "
            f"says {ends}; correct the wrong one"
        )
    return int(loaded.eos_token_id)


def compute_dtype(config: TrainConfig) -> jnp.dtype:
    """Returns the dtype of the computation, and of the exported model."""
    automatic = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(automatic if config.compute == "auto" else config.compute)


def make_schedule(config: TrainConfig, steps: int) -> optimizer.Schedule:
    """Returns the learning rates of a run of `steps` steps."""
    return optimizer.schedule(peak=config.learning_rate, warmup=config.warmup, decay=config.decay, steps=steps)


def make_training(config: TrainConfig) -> tuple[optax.GradientTransformation, Step]:
    """Returns the optimizer of a run, and its compiled step, for the devices that JAX has here."""
    backend = jax.default_backend()
    adamw = optimizer.adamw(
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
        weight_decay=config.weight_decay,
        clip=config.clip,
        moments=jnp.dtype(config.moments),
    )
    dtype = compute_dtype(config)
    step = make_step(
        adamw,
        dtype=dtype,
        remat=config.remat,
        attention=flash.choose(config.attention, backend, dtype),
        loss_chunk=config.loss_chunk,
    )
    return adamw, step


def make_origin(config: TrainConfig, source: Source, batches: Batches, tokenizer_folder: Path) -> Origin:
    """Returns what the run's checkpoints belong to."""
    return Origin(
        model=source.name,
        model_fingerprint=source.fingerprint,
        data=str(config.data),
        data_fingerprint=batches.examples.fingerprint,
        fraction=config.fraction,
        batch=config.batch,
        seed=config.seed,
        architecture=source.architecture,
        tokenizer=str(tokenizer_folder.absolute()),
    )
