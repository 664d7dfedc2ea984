"""A checkpoint of a training run as a Hugging Face folder, one tensor at a time."""

import logging
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from rft_jax import provenance
from rft_jax.errors import UserError
from rft_jax.hf import fingerprint, located, pretrained
from rft_jax.hf.sidecars import PromptSidecar
from rft_jax.model.llama import Llama
from rft_jax.one_writer import one_writer
from rft_jax.remote import given
from rft_jax.train import checkpoint, merge
from rft_jax.train.checkpoint import Origin
from rft_jax.train.same_weights import SameWeights

log = logging.getLogger(__name__)


# Makes README.md from the run's origin, its folder (None: not on this machine), the steps done, and whether the
# model is the one that the run exported itself: its weights, and how it is asked.
Card = Callable[[Origin, Path | None, str, bool], str]


def convert(
    step: str | Path,
    output: Path,
    tokenizer: str | Path | None,
    dtype: str,
    *,
    shard_bytes: int = 5_000_000_000,
    card: Card | None = None,
) -> None:
    """Writes the model of a checkpoint; the memory holds one tensor of one layer, not the model.

    Args:
        step: its folder, such as OUT/checkpoints/100; it may be in a bucket.
        output: the Hugging Face folder to make, whole or not at all.
        tokenizer: the folder whose tokenizer goes along, likewise; None for the one that the run used.
        dtype: of the written weights, as "bfloat16".
        shard_bytes: the most bytes of tensors in a file.
        card: makes the model card; None: there is none.

    Raises:
        UserError: no checkpoint is there, or a damaged one, no tokenizer, or no room.
    """
    folder = located.whole(step)
    origin = checkpoint.read_origin(folder)
    checkpoint.check(folder)
    config = origin.architecture
    source = located.settings(tokenizer or origin.tokenizer)
    if tokenizer is None and not source.is_dir():
        raise UserError(f"the run's tokenizer was in {source}, which is not there now: give --tokenizer=DIR")
    prompt = None if origin.prompt is None else PromptSidecar(**origin.prompt)
    run = None if located.is_elsewhere(step) else folder.absolute().parents[1]
    same = SameWeights(run / "model", config) if run else None
    if origin.lora is None:
        model = jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=True))
        tensors = checkpoint.tensors(folder, config, model, jnp.dtype(dtype))
    else:
        tensors = merge.tensors(folder, origin, jnp.dtype(dtype))
    log.info(provenance.line(provenance.software()))

    def readme(made: Path) -> str:
        exported = run and same and same.hold and fingerprint.asked_alike(made, run / "model")
        return card(origin, run, folder.name, bool(exported)) if card else ""

    with one_writer(output, output.with_name(f".{output.name}.writer")):
        pretrained.write(
            output,
            config,
            same.watch(tensors) if same else tensors,
            tokenizer_from=source,
            dtype=jnp.dtype(dtype),
            prompt=prompt,
            shard_bytes=shard_bytes,
            readme=readme if card else None,
        )
    log.info("done: %s", given.told(str(output)))
