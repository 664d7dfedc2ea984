"""The parts of a run, made from its config: beside the loop, the only place in train/ that sees the config."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rft_jax.config import TrainConfig
from rft_jax.data import examples, prompt_format
from rft_jax.data.batches import Batches
from rft_jax.data.examples import Examples
from rft_jax.data.prompt_format import PromptFormat
from rft_jax.errors import UserError
from rft_jax.hf import located
from rft_jax.hf.sidecars import PromptSidecar
from rft_jax.model import flash
from rft_jax.model.architecture import LlamaConfig
from rft_jax.records.problem import read_problems
from rft_jax.task import task as tasks
from rft_jax.task.templates import known
from rft_jax.train import optimizer
from rft_jax.train.checkpoint import Origin
from rft_jax.train.start import Source
from rft_jax.train.step import Step, make_step

log = logging.getLogger(__name__)

# Where and how a run computes; and what fingerprints tell better than names.
_NOT_OF_THE_RESULT = {
    "mesh", "accumulation", "remat", "attention", "loss_chunk", "save_every", "keep", "checkpoints",
    "model", "checkpoint", "size", "tokenizer", "data",
}  # fmt: skip


def make_tokenizer_folder(config: TrainConfig, source: Source) -> str:
    """Returns the folder whose tokenizer the run uses, and its model goes out with; it may not be on this machine."""
    if config.tokenizer:
        return config.tokenizer
    if source.tokenizer is None:
        raise UserError(f"{source.name} has no tokenizer: give --config.tokenizer=DIR")
    return source.tokenizer


def make_prompt_format(config: TrainConfig, tokenizer_folder: Path, loaded: Any, name: str) -> PromptFormat:
    """Returns how the model is asked, in training and ever after.

    Args:
        config: of the run.
        tokenizer_folder: of the tokenizer and of what ends a text.
        loaded: the tokenizer.
        name: of the new model.

    Raises:
        UserError: the task or the template is unknown, or the folder contradicts itself about the end of a text.
    """
    template = known.load(config.template) if config.template else tasks.load(config.task).template
    return prompt_format.choose(
        tokenizer_folder,
        loaded,
        name=name,
        task=config.task,
        template=template,
        begin_token=config.begin_token,
        end_tokens=None,
    )


def make_batches(
    config: TrainConfig, asked: PromptFormat, loaded: Any, architecture: LlamaConfig, data_parallel_size: int
) -> tuple[Batches, PromptSidecar]:
    """Returns the batches of the run and what goes out with its model, and tells what is in them.

    Args:
        config: of the run.
        asked: how the model is asked.
        loaded: the tokenizer.
        architecture: of the model that will read them.
        data_parallel_size: devices that split the rows.

    Raises:
        UserError: the data is missing or wrong, or does not go with the tokenizer, the model or the mesh.
    """
    if not config.data:
        raise UserError("nothing to train on: give --config.data=FILE, JSONL lines with query and response")
    encoder = asked.encoder(loaded, architecture.vocabulary)
    problems = read_problems(config.data, tasks.load(config.task).reader)
    made = examples.tokenise(
        problems, encoder, config.data, joint=config.border == "joint", max_length=config.max_length
    )
    if (longest := int(made.lengths.max())) > architecture.max_positions:
        raise UserError(
            f"{config.data}: an example has {longest} tokens, the model has {architecture.max_positions} positions: "
            "remove the rows that are too long"
        )
    log.info("%s: %s", config.data, examples.describe(made, loaded.decode))
    sidecar = PromptSidecar(asked.to_json(), prompt_format.chat_template(encoder), asked.stop_tokens)
    return batches_of(config, made, data_parallel_size), sidecar


def batches_of(config: TrainConfig, known: Examples, data_parallel_size: int) -> Batches:
    """Returns the batches of a run over these examples; `data_parallel_size` is as for `make_batches`."""
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
        loss_group=config.loss_group,
        data_parallel_size=data_parallel_size,
        accumulation=config.accumulation,
    )


def compute_dtype(config: TrainConfig, backend: str | None = None) -> jnp.dtype:
    """Returns the dtype of the computation, and of the exported model; `backend` is as for `make_training`."""
    automatic = "float32" if (backend or jax.default_backend()) == "cpu" else "bfloat16"
    return jnp.dtype(automatic if config.compute == "auto" else config.compute)


def make_schedule(config: TrainConfig, steps: int) -> optimizer.Schedule:
    """Returns the learning rates of a run of `steps` steps."""
    return optimizer.schedule(peak=config.learning_rate, warmup=config.warmup, decay=config.decay, steps=steps)


def make_training(config: TrainConfig, backend: str | None = None) -> tuple[optax.GradientTransformation, Step]:
    """Returns the optimizer of a run, and its compiled step.

    Args:
        config: of the run.
        backend: that the step is for; None: what JAX has here.
    """
    backend = backend or jax.default_backend()
    adamw = optimizer.adamw(
        beta1=config.beta1,
        beta2=config.beta2,
        epsilon=config.epsilon,
        weight_decay=config.weight_decay,
        clip=config.clip,
        moments=jnp.dtype(config.moments),
    )
    dtype = compute_dtype(config, backend)
    step = make_step(
        adamw,
        dtype=dtype,
        remat=config.remat,
        attention=flash.choose(config.attention, backend, dtype),
        loss_chunk=config.loss_chunk,
    )
    return adamw, step


def make_origin(
    config: TrainConfig, source: Source, batches: Batches, tokenizer_folder: str, sidecar: PromptSidecar
) -> Origin:
    """Returns what the run's checkpoints belong to."""
    tokenizer = tokenizer_folder if located.is_elsewhere(tokenizer_folder) else str(Path(tokenizer_folder).absolute())
    return Origin(
        model=source.name,
        model_fingerprint=source.fingerprint,
        data=str(config.data),
        data_fingerprint=batches.examples.fingerprint,
        fraction=config.fraction,
        batch=config.batch,
        seed=config.seed,
        architecture=source.architecture,
        tokenizer=tokenizer,
        prompt=dataclasses.asdict(sidecar),
        settings=None
        if config.checkpoints is None
        else {name: value for name, value in vars(config).items() if name not in _NOT_OF_THE_RESULT},
    )
