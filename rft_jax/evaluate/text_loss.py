"""The loss of a model on given text: nats per token, and bits per byte, which compare models of all tokenizers."""

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jax.sharding import Mesh

from rft_jax import runtime
from rft_jax.config import MeshConfig
from rft_jax.data import prompt_format
from rft_jax.data import tokenizer as tokenizers
from rft_jax.errors import UserError
from rft_jax.evaluate import documents
from rft_jax.evaluate.documents import Document, Window
from rft_jax.evidence.ratio import ratio
from rft_jax.files import refuse_to_replace, whole_file
from rft_jax.hf import config as hf_config
from rft_jax.hf import fingerprint, located, pretrained
from rft_jax.model import flash, partition
from rft_jax.model.attention import Implementation
from rft_jax.model.layers import gathered
from rft_jax.model.llama import Llama, forward
from rft_jax.one_writer import one_writer
from rft_jax.provenance import FIELD
from rft_jax.sample.settings import compute_dtype
from rft_jax.task import task as tasks

LONGEST = 2048  # of a window, unless told otherwise
_CHUNK = 128  # positions whose logits, [B, 128, V] in fp32, exist at the same time
_SORTED = 256  # batches whose windows are sorted by length together


def measure(
    model: str,
    text: Sequence[str],
    output: Path,
    *,
    fields: Sequence[str],
    window: int | None,
    stride: int | None,
    batch: int,
    compute: str,
    mesh: MeshConfig,
    task: str | None = None,
) -> str:
    """Writes the loss of a model on documents to a JSON file.

    A document is seen in windows, each anew from position 0, and every token of it is predicted once. Documents are not
    joined: none is seen from another. The loss is the sum over all documents by the number of their tokens, or bytes;
    the interval, `evidence.ratio`'s, takes the documents as the random sample.

    Args:
        model: Hugging Face folder, or hf:ORG/NAME.
        text, fields: the documents, as `documents.texts` takes them.
        output: the file.
        window: tokens that are seen at once; None: LONGEST, or the model's positions if they are fewer.
        stride: tokens from the start of a window to that of the next; None: half a window.
        batch: windows at once, rounded up to what the devices divide.
        compute: dtype: auto, float32 or bfloat16.
        mesh: how the devices are laid out.
        task: of files of problems: the documents are their responses, each after the prompt that the model is asked
            with; None: the files are texts.

    Returns:
        The outcome for the terminal.

    Raises:
        UserError: a file or the model is missing or wrong, the window does not fit, there are several processes, or the
            output cannot be written, is being written by another process or is one of the files.
    """
    if jax.process_count() > 1:
        raise UserError("the loss is measured by one process, on all devices that it sees: start it without srun")
    if not output.parent.is_dir() or output.is_dir():
        raise UserError(f"cannot write {output}: give the name of a file in a folder that exists")
    refuse_to_replace(text, output)
    model = located.pinned(model)
    folder = located.model(model)
    architecture = hf_config.read(folder)
    window = window or min(LONGEST, architecture.max_positions)
    stride = stride or max(1, window // 2)
    if window > architecture.max_positions:
        raise UserError(f"--window={window}: the model has {architecture.max_positions:,} positions")
    if stride > window:
        raise UserError(
            f"--stride={stride} leaves out tokens between windows of {window}: give at most --stride={window}"
        )
    with one_writer(output, output.with_name(f".{output.name}.writer")):
        tokenizer = tokenizers.load(folder)
        if task is None:
            whole, text_hash = documents.read(text, fields, tokenizer, architecture.vocabulary, folder)
        else:
            told = prompt_format.task_of(folder, task)
            asked = prompt_format.choose(
                folder, tokenizer, name=None, task=told, template=None, begin_token=None, end_tokens=None
            )
            encoder = asked.encoder(tokenizer, architecture.vocabulary)
            whole, text_hash = documents.answers(text, tasks.load(asked.task).reader, encoder)
        devices = runtime.make_mesh(mesh.data, mesh.fsdp, mesh.tensor)
        dtype = compute_dtype(compute)
        runtime.announce(devices)
        loaded = pretrained.load(folder, devices, dtype=dtype, stacked=True)
        losses = of_documents(loaded, whole, devices, window=window, stride=stride, batch=batch, dtype=dtype)
        tokens = np.array([each.predicted for each in whole])
        size = np.array([each.bytes for each in whole])
        outcome = {
            "name": prompt_format.name_of(folder, None),
            "model": model,
            "model_fingerprint": fingerprint.of_model(folder),
            "text": list(text),
            "fields": list(fields),
            "text_fingerprint": text_hash,
            "documents": len(whole),
            "tokens": int(tokens.sum()),
            "bytes": int(size.sum()),
            "task": task,
            # Before a response stands its prompt, another one for each.
            "before": None if task else whole[0].tokens[: whole[0].before].tolist(),
            "window": window,
            "stride": stride,
            "compute": dtype.name,
            "nats_per_token": _ratio(losses, tokens),
            "bits_per_byte": _ratio(losses / np.log(2), size),
            FIELD: runtime.describe(devices),
        }
        with whole_file(output) as file:
            file.write_text(json.dumps(outcome, indent=1) + "\n")
    return table(outcome)


def _ratio(above: np.ndarray, below: np.ndarray) -> dict[str, float | None]:
    """Returns the ratio of two sums over documents, with its interval; of one document, without."""
    if estimate := ratio(above, below):
        return dataclasses.asdict(estimate)
    return {"mean": float(above.sum() / below.sum()), "low": None, "high": None}


def of_documents(
    model: Llama,
    whole: Sequence[Document],
    mesh: Mesh,
    *,
    window: int,
    stride: int,
    batch: int,
    dtype: jnp.dtype,
) -> np.ndarray:
    """Returns the negative log-likelihood of each document, in nats, fp64 [documents].

    Args:
        model: of stacked layers, on the mesh.
        whole: the documents.
        mesh: the devices.
        window, stride, batch: as for `measure`.
        dtype: of the computation; logits are fp32.
    """
    losses = np.zeros(len(whole))
    attention = flash.choose("auto", jax.default_backend(), dtype)
    with jax.set_mesh(mesh):
        rows = -(-batch // partition.batch_devices()) * partition.batch_devices()
        for numbers, arrays in _batches(whole, window, stride, rows):
            placed = [
                jax.make_array_from_callback(x.shape, partition.sharding("tokens", x.shape, mesh), x.__getitem__)
                for x in arrays
            ]
            found = jax.device_get(_losses(model, *placed, dtype=dtype, attention=attention))
            np.add.at(losses, numbers, found[: len(numbers)].astype(np.float64))
    return losses


def _batches(
    whole: Sequence[Document], window: int, stride: int, rows: int
) -> Iterator[tuple[list[int], tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Yields batches of windows of about one length, of each few batches the longest first.

    Yields:
        The document of each window, and int32 [B, T]: tokens, what each predicts, and whether that counts; rows without
        a window, and positions behind one, are 0 and do not count.
    """
    every = ((number, each) for number, one in enumerate(whole) for each in documents.windows(one, window, stride))
    with tqdm.tqdm(total=sum(each.predicted for each in whole), desc="loss", unit=" tokens", disable=None) as bar:
        while group := list(itertools.islice(every, rows * _SORTED)):
            group.sort(key=lambda pair: pair[1].start - pair[1].stop)
            for first in range(0, len(group), rows):
                some = group[first : first + rows]
                shape = (rows, _padded(some[0][1].stop - some[0][1].start))
                arrays = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32)
                for row, (number, each) in enumerate(some):
                    _write(arrays, row, whole[number].tokens, each)
                yield [number for number, _ in some], arrays
                bar.update(int(arrays[2].sum()))


def _padded(length: int) -> int:
    """Returns the length of the rows of a batch: few lengths, so that few programs are compiled."""
    padded = _CHUNK
    while padded < length:
        padded *= 2
    return padded


def _write(arrays: tuple[np.ndarray, ...], row: int, tokens: np.ndarray, each: Window) -> None:
    seen, predicted, counts = arrays
    length = each.stop - each.start
    seen[row, :length] = tokens[each.start : each.stop]
    predicted[row, :length] = tokens[each.start + 1 : each.stop + 1]
    counts[row, each.counts_from - each.start - 1 : length] = 1


@functools.partial(jax.jit, static_argnames=("dtype", "attention"))
def _losses(
    model: Llama,
    tokens: jax.Array,
    targets: jax.Array,
    counts: jax.Array,
    *,
    dtype: jnp.dtype,
    attention: Implementation,
) -> jax.Array:
    """Returns the sum over what counts of the negative log-likelihoods of a batch's rows, fp32 [B].

    What is behind a window has positions of its own, and no token sees what follows it: it needs no segment.
    """
    positions = partition.place(
        jnp.broadcast_to(jnp.arange(tokens.shape[1], dtype=jnp.int32)[None], tokens.shape), "tokens"
    )
    segments = jnp.ones_like(tokens)
    hidden = forward(model, tokens, segments, positions, dtype=dtype, attention=attention)
    table = gathered(model.output_table, "head", dtype)
    ids = jnp.arange(table.shape[0], dtype=jnp.int32)

    def of_chunk(number: jax.Array) -> jax.Array:
        take = functools.partial(jax.lax.dynamic_slice_in_dim, start_index=number * _CHUNK, slice_size=_CHUNK, axis=1)
        logits = jnp.einsum("btd,vd->btv", take(hidden), table, preferred_element_type=jnp.float32)
        logits = partition.place(logits, "logits")
        hit = partition.place(ids[None, None, :] == take(targets)[:, :, None], "logits")
        of_target = jnp.where(hit, logits, 0).sum(axis=-1)
        return ((jax.nn.logsumexp(logits, axis=-1) - of_target) * take(counts).astype(jnp.float32)).sum(axis=1)

    chunks = jnp.arange(tokens.shape[1] // _CHUNK, dtype=jnp.int32)
    return partition.everywhere(jax.lax.map(of_chunk, chunks).sum(axis=0))


def table(outcome: dict[str, Any]) -> str:
    """Returns the outcome in two lines for the terminal."""
    told = ", ".join(
        f"{number['mean']:.4f} {name.replace('_', ' ')}"
        + ("" if number["low"] is None else f" ({number['low']:.4f} to {number['high']:.4f})")
        for name in ("nats_per_token", "bits_per_byte")
        for number in [outcome[name]]
    )
    return (
        f"{outcome['name']} on {outcome['documents']:,} documents, {outcome['tokens']:,} tokens, "
        f"{outcome['bytes']:,} bytes; windows of {outcome['window']:,}, stride {outcome['stride']:,}\n{told}"
    )
