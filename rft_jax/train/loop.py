"""The training run, SFT and RFT alike: a model and a file of responses in, a better model out."""

import contextlib
import dataclasses
import logging
import math
from pathlib import Path

import jax
import numpy as np

from rft_jax import config_checks, files, runtime, stopping
from rft_jax.config import TrainConfig
from rft_jax.data import tokenizer as tokenizers
from rft_jax.data.batches import Batches
from rft_jax.distributed import agreement
from rft_jax.errors import UserError
from rft_jax.hf import located, pretrained
from rft_jax.one_writer import one_writer
from rft_jax.train import bucket_folder, start
from rft_jax.train.assemble import (
    compute_dtype,
    make_batches,
    make_origin,
    make_prompt_format,
    make_schedule,
    make_tokenizer_folder,
    make_training,
)
from rft_jax.train.bucket_folder import BucketFolder
from rft_jax.train.checkpoint import Checkpoints
from rft_jax.train.metrics import Reporter
from rft_jax.train.run_record import record, refuse_moved
from rft_jax.train.step import put

log = logging.getLogger(__name__)


def train(config: TrainConfig, workdir: Path, command: str) -> None:
    """Trains a model, from the last checkpoint in `workdir` if there is one, and exports it to `workdir/model`.

    Args:
        config: of the run.
        workdir: for model, checkpoints, metrics.jsonl and TensorBoard events; made if it does not exist.
        command: the user's, to tell how to go on after an interruption.

    Raises:
        UserError: a setting or the data is wrong, the disk is full, a bucket cannot be used, or loss or gradient is no
            longer finite.
        stopping.Interrupted: by SIGINT or SIGTERM, after everything is saved.
    """
    config_checks.training(config)
    mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
    first_process = jax.process_index() == 0
    if first_process:
        files.make_folder(workdir, clean=False)
    with (
        one_writer(workdir) if first_process else contextlib.nullcontext(),
        _checkpoint_folder(config.checkpoints, workdir, first_process) as checkpoint_folder,
        jax.set_mesh(mesh),
    ):
        if first_process:
            files.make_folder(workdir)  # whoever left something there is dead
            refuse_moved(workdir, config.checkpoints)
        agreement.shared(workdir)
        config = located.pinned_in(config)
        source = start.source(config.checkpoint, config.model, config.size, config.seed)
        tokenizer_folder = make_tokenizer_folder(config, source)
        folder = located.settings(tokenizer_folder)
        tokenizer = tokenizers.load(folder)
        asked = make_prompt_format(config, folder, tokenizer, workdir.resolve().name)
        data_parallel_size = mesh.shape["data"] * mesh.shape["fsdp"]
        batches, prompt = make_batches(config, asked, tokenizer, source.architecture, data_parallel_size)
        optimizer, take_step = make_training(config)
        rate = make_schedule(config, batches.steps)

        origin = make_origin(config, source, batches, tokenizer_folder, prompt)
        agreement.agree(agreement.settings(config) | dataclasses.asdict(origin))
        runtime.announce(mesh)
        checkpoints = Checkpoints(checkpoint_folder, origin, config.keep)
        state = start.first_state(checkpoints, source, optimizer, mesh, batches.steps)
        first = checkpoints.latest or 0
        if first_process:
            record(workdir, dataclasses.asdict(config), runtime.describe(mesh), first)

        parameters = source.architecture.parameters
        reporter = Reporter(workdir, start=first, steps=batches.steps, parameters=parameters)
        with checkpoints, reporter, stopping.asked_first("saving after this step"), jax.transfer_guard("disallow"):
            previous = None
            for step in range(first, batches.steps):
                state, metrics = take_step(state, *put(batches[step], stopping.asked(), rate(step), mesh))
                # While the devices are busy with this step, the host reads the previous one's numbers.
                stops = previous is not None and report(reporter, batches, *previous)
                previous = step, metrics
                if stops or (step + 1) % config.save_every == 0 or step + 1 == batches.steps:
                    # Only a step that is known to be good is saved, so the last checkpoint always is.
                    stops |= report(reporter, batches, *previous)
                    previous = None
                    checkpoints.save(step + 1, state)
                if stops and step + 1 < batches.steps:
                    checkpoints.wait()
                    raise stopping.Interrupted(
                        f"stopped after step {step + 1} of {batches.steps}, saved; to continue: {command}"
                    )
            checkpoints.wait()

        pretrained.save(
            state.model, workdir / "model", tokenizer_from=folder, dtype=compute_dtype(config), prompt=prompt
        )
    log.info("done: %s", workdir / "model")


def _checkpoint_folder(
    bucket: str | None, workdir: Path, first_process: bool
) -> contextlib.AbstractContextManager[Path | BucketFolder]:
    if bucket is None:
        return contextlib.nullcontext(workdir / "checkpoints")
    return bucket_folder.opened(bucket, writes=first_process)


def report(reporter: Reporter, batches: Batches, step: int, metrics: dict[str, jax.Array]) -> bool:
    """Waits for a step, writes its numbers and returns whether a process wishes to stop.

    Raises:
        UserError: loss or gradient is not finite.
    """
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    stop = values.pop("stop") > 0
    for name, value in values.items():
        if not math.isfinite(value):
            numbers = ", ".join(map(str, np.sort(batches.numbers(step))))
            raise UserError(f"step {step + 1}: {name} is {value}; the step's examples are {numbers} (lines from 0)")
    reporter.write(step + 1, values, *batches.token_counts(step))
    return stop
