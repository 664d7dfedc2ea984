"""Useful tokens per second and peak memory in training, beside transformers' Trainer on the same model and batches.

Each trainer has its own process, and they take turns step by step, because the speed of a shared machine drifts. All
compute in fp32, use AdamW, and take as many examples in a forward pass. The Trainer pads them to the longest, as usual;
we pack. On a CPU our process keeps the memory it frees (`runtime.start`), so the Trainer is measured with that setting
too.

Without a model folder the weights are random, and there is no Llama tokenizer (see tokenizer.py), but the model has
Llama's vocabulary of 32,000 all the same.
"""

import contextlib
import dataclasses
import importlib.util
import math
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax import config_flag
from rft_jax.benchmark import tokenizer, train_ours, train_peer
from rft_jax.benchmark.train_turns import Measured
from rft_jax.config import TrainConfig
from rft_jax.data import examples
from rft_jax.data import tokenizer as tokenizers
from rft_jax.data.batches import Batches
from rft_jax.data.encode import Encoder
from rft_jax.data.examples import Examples
from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import located, pretrained
from rft_jax.model import architecture, llama
from rft_jax.records.problem import read_problems
from rft_jax.train import assemble

OURS = "rft_jax"
# The peers, and the environment variables added for each.
_KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_ARENA_MAX": "1"}
_PEERS: dict[str, dict[str, str]] = {"Trainer": {}, "Trainer, keeping memory": _KEEPING}


def settings(data: str, batch: int, microbatch: int, model: str | None) -> TrainConfig:
    """Returns our settings: those of configs/sft.py, changed to suit a CPU and a small model.

    Args:
        data: file of problems.
        batch: examples per step.
        microbatch: examples per forward pass; with a model given, only the peers'.
        model: folder of a model; None: 58 M random parameters.

    Raises:
        UserError: a step is no whole number of forward passes.
    """
    if batch % microbatch:
        raise UserError(f"--batch={batch} is not a multiple of --microbatch={microbatch}")
    length = 640 if model else 512  # GSM8K's longest example has 568 tokens of SmolLM2's
    return dataclasses.replace(
        config_flag.load("configs/sft.py", TrainConfig),
        model=model, size=None if model else "bench-58m", data=data, batch=batch, max_length=length, row_length=length,
        # A whole batch in one pass, of which little is kept, takes less memory than the peers' passes, and pads least.
        accumulation=1 if model else batch // microbatch, remat="full" if model else "none", loss_chunk=512,
    )  # fmt: skip


def run(config: TrainConfig, *, steps: int, microbatch: int) -> list[str]:
    """Measures our training and the peers', and the memory of each.

    Args:
        config: our config, from `settings`; the peers share its model, data, batch, seed and optimizer.
        steps: steps to measure, after one for warming up.
        microbatch: examples per forward pass.

    Returns:
        The lines of a table.

    Raises:
        UserError: the model, the data, transformers' Trainer or a package it needs is missing.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = located.model(config.model) if config.model else _random_model(str(config.size), Path(scratch))
        known = _examples(config)
        batches = assemble.batches_of(config, known, 1)
        measured: dict[str, list[Measured]] = {name: [] for name in (OURS, *_PEERS)}
        with _trainers(config, batches, str(folder), steps + 1, microbatch) as turns:
            for number in range(steps + 1):
                for name, connection in turns.items():
                    connection.send(number)
                    measured[name].append(connection.recv())
            peaks = {name: connection.recv() for name, connection in turns.items()}
        parameters = hf_config.read(folder).parameters
    tokens = np.sum([batches.token_counts(number) for number in range(1, steps + 1)], axis=0)
    return [
        f"{config.model or config.size}, {parameters / 1e6:.0f} M parameters, {config.batch} examples per step, "
        f"{microbatch} per forward pass, {steps} steps, {os.cpu_count()} cores; "
        f"prompts {known.prompts.mean():.0f} tokens, responses {known.responses.mean():.0f}",
        *_table(measured, peaks, [int(known.lengths[batches.numbers(number)].sum()) for number in range(steps + 1)]),
        f"our padding {1 - tokens[0] / tokens[1]:.1%}",
    ]


def _table(measured: dict[str, list[Measured]], peaks: dict[str, int], useful: list[int]) -> list[str]:
    """Returns all rates, and ours as multiples of the others'; the first step is for warming up.

    Args:
        measured: maps the name of a trainer to its measurement of each step; ours comes first.
        peaks: the most bytes of memory that each trainer's process had.
        useful: useful tokens in each step.
    """
    lines = [
        f"{'':24}{'useful tokens/s':>16}{'per CPU second':>16}{'seconds per step':>18}{'first loss':>12}{'last':>8}"
        f"{'peak GB':>9}"
    ]
    for name, results in measured.items():
        wall, cpu, losses = (list(column) for column in zip(*results, strict=True))
        rates = [statistics.median(np.divide(useful[1:], seconds[1:])) for seconds in (wall, cpu)]
        lines.append(
            f"{name:24}{rates[0]:16.0f}{rates[1]:16.0f}{statistics.median(wall[1:]):18.1f}{losses[0]:12.4f}"
            f"{losses[-1]:8.4f}{peaks[name] / 1e9:9.2f}"
        )
    ours, *others = measured.values()
    for name, theirs in zip(list(measured)[1:], others, strict=True):
        ratios = [
            statistics.median(other[column] / own[column] for own, other in zip(ours[1:], theirs[1:], strict=True))
            for column in (0, 1)
        ]
        lines.append(
            f"times the rate of {name}: {ratios[0]:.2f} by wall time, {ratios[1]:.2f} by CPU time; "
            f"times its peak memory: {peaks[OURS] / peaks[name]:.2f}"
        )
    return lines


def _random_model(size: str, folder: Path) -> Path:
    model = llama.Llama(architecture.size(size), jax.random.key(0), dtype=jnp.float32, stacked=True)
    pretrained.save(model, folder, tokenizer_from=None, dtype=jnp.dtype(jnp.float32))
    return folder


def _examples(config: TrainConfig) -> Examples:
    """Returns the training examples, with the model's tokenizer or the stand-in for Llama's."""
    problems = read_problems(str(config.data))
    encoder: Encoder
    if config.model:
        folder = located.settings(config.model)
        loaded = tokenizers.load(folder)
        asked = assemble.make_prompt_format(config, folder, loaded, OURS)
        encoder = asked.encoder(loaded, hf_config.read(folder).vocabulary)
    else:
        encoder = tokenizer.encoder(problems)
    return examples.tokenise(problems, encoder, str(config.data), joint=False, max_length=config.max_length)


@contextlib.contextmanager
def _trainers(
    config: TrainConfig, batches: Batches, folder: str, steps: int, microbatch: int
) -> Iterator[dict[str, Connection]]:
    """Starts the trainers and yields a connection to each, ours first.

    They train the model in `folder`, one step per message, and after the last they send their peak memory in bytes.
    """
    for package in ("torch", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"the benchmark's peer is missing (no {package}): pip install torch accelerate")
    known = batches.examples
    numbers = np.concatenate([batches.numbers(number) for number in range(steps)])
    shown = [(np.array(known[int(number)], np.int64), int(known.prompts[number])) for number in numbers]
    settings = {
        "max_steps": steps,
        "per_device_train_batch_size": microbatch,
        "gradient_accumulation_steps": config.batch // microbatch,
        "learning_rate": config.learning_rate,
        "warmup_steps": math.ceil(config.warmup * batches.steps),  # as in a whole run, so that the rates equal ours
        "lr_scheduler_type": config.decay,
        "max_grad_norm": config.clip,
    }
    peer = (train_peer.train, (folder, settings, shown))
    targets: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
        OURS: (train_ours.train, (folder, config, batches, steps)),
        **dict.fromkeys(_PEERS, peer),
    }
    context = multiprocessing.get_context("spawn")
    turns: dict[str, Connection] = {}
    processes = []
    try:
        for name, (target, arguments) in targets.items():
            turns[name], theirs = context.Pipe()
            os.environ.update(_PEERS.get(name, {}))  # inherited by the process
            processes.append(context.Process(target=target, args=(theirs, *arguments)))
            processes[-1].start()
            for variable in _PEERS.get(name, {}):
                del os.environ[variable]
            theirs.close()
            turns[name].recv()  # it is ready, and idle from now on
        yield turns
    except EOFError as error:
        raise UserError("a trainer has stopped; see its message above") from error
    finally:
        for process in processes:
            process.kill()
            process.join()
