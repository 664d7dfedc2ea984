"""Useful tokens per second in training, beside transformers' Trainer on the same model, examples and batch size.

They take turns step by step, each in its own process, because the speed of a shared machine drifts. All compute in fp32
and use AdamW. The Trainer pads each of its microbatches to the longest example, as usual; we pack. On a CPU our process
keeps the memory it frees (`runtime.start`), so the Trainer is measured with that setting too.

There is no Llama tokenizer here (see tokenizer.py), but the model has Llama's vocabulary of 32,000 all the same.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import math
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax import config_flag, runtime
from rft_jax.benchmark import tokenizer, train_peer
from rft_jax.benchmark.train_peer import Measured
from rft_jax.config import TrainConfig
from rft_jax.data import examples
from rft_jax.data.batches import Batches
from rft_jax.data.examples import Examples
from rft_jax.errors import UserError
from rft_jax.hf import pretrained
from rft_jax.model import architecture
from rft_jax.records.problem import read_problems
from rft_jax.train import assemble, start, step

# The peers, and the environment variables added for each.
_KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_ARENA_MAX": "1"}
_PEERS: dict[str, dict[str, str]] = {"Trainer": {}, "Trainer, keeping memory": _KEEPING}


def settings(data: str, batch: int) -> TrainConfig:
    """Returns our settings: those of configs/sft.py, changed to suit a CPU and 58 M parameters."""
    return dataclasses.replace(
        config_flag.load("configs/sft.py", TrainConfig),
        size="bench-58m", data=data, batch=batch, max_length=512, row_length=512, accumulation=max(1, batch // 16),
        remat="none", loss_chunk=512,
    )  # fmt: skip


def run(config: TrainConfig, *, steps: int, microbatch: int) -> list[str]:
    """Measures our training and the peers', and the memory of our step.

    Args:
        config: our config, from `settings`; the peers share its model, data, batch, seed and optimizer.
        steps: steps to measure, after one for warming up.
        microbatch: examples per forward pass of the Trainer.

    Returns:
        The lines of a table.

    Raises:
        UserError: the data, transformers' Trainer or a package it needs is missing.
    """
    llama = architecture.size(str(config.size))
    known = gsm8k(str(config.data), config.max_length)
    mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
    with jax.set_mesh(mesh), tempfile.TemporaryDirectory() as scratch:
        batches = assemble.batches_of(config, known, mesh.shape["data"] * mesh.shape["fsdp"])
        optimizer, take_step = assemble.make_training(config)
        rate = assemble.make_schedule(config, batches.steps)
        source = start.source(None, None, config.size, config.seed)
        state = step.make_state(source.load(mesh, jnp.dtype(jnp.float32)), optimizer, mesh)
        pretrained.save(state.model, scratch, tokenizer_from=None, dtype=jnp.dtype(jnp.float32))
        compiled = take_step.lower(state, *step.put(batches[0], False, rate(0), mesh)).compile()
        analysis: Any = compiled.memory_analysis()

        def our_step(number: int) -> float:
            nonlocal state
            state, metrics = take_step(state, *step.put(batches[number], False, rate(number), mesh))
            return float(metrics["loss"])

        measured: dict[str, list[Measured]] = {"rft_jax": [], **{name: [] for name in _PEERS}}
        with _peers(config, batches, scratch, steps + 1, microbatch) as peers:
            for number in range(steps + 1):
                measured["rft_jax"].append(train_peer.timed(functools.partial(our_step, number)))
                for name, turns in peers.items():
                    turns.send(number)
                    measured[name].append(turns.recv())
    tokens = np.sum([batches.token_counts(number) for number in range(1, steps + 1)], axis=0)
    need = analytic_bytes(config, llama, int(tokens[1] // steps // config.accumulation))
    return [
        f"{config.size}, {llama.parameters / 1e6:.0f} M parameters, {config.batch} examples per step, {steps} steps, "
        f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores; prompts {known.prompts.mean():.0f} tokens, "
        f"responses {known.responses.mean():.0f}",
        *_table(measured, [int(known.lengths[batches.numbers(number)].sum()) for number in range(steps + 1)]),
        f"our padding {1 - tokens[0] / tokens[1]:.1%}",
        f"our step's temporaries {analysis.temp_size_in_bytes / 1e9:.2f} GB; analytic need {need / 1e9:.2f} GB",
    ]


def _table(measured: dict[str, list[Measured]], useful: list[int]) -> list[str]:
    """Returns all rates, and ours as multiples of the others'; the first step is for warming up.

    Args:
        measured: maps the name of a trainer to its measurement of each step; ours comes first.
        useful: useful tokens in each step.
    """
    lines = [
        f"{'':24}{'useful tokens/s':>16}{'per CPU second':>16}{'seconds per step':>18}{'first loss':>12}{'last':>8}"
    ]
    for name, results in measured.items():
        wall, cpu, losses = (list(column) for column in zip(*results, strict=True))
        rates = [statistics.median(np.divide(useful[1:], seconds[1:])) for seconds in (wall, cpu)]
        lines.append(
            f"{name:24}{rates[0]:16.0f}{rates[1]:16.0f}{statistics.median(wall[1:]):18.1f}{losses[0]:12.4f}"
            f"{losses[-1]:8.4f}"
        )
    ours, *others = measured.values()
    for name, theirs in zip(list(measured)[1:], others, strict=True):
        ratios = [
            statistics.median(other[column] / own[column] for own, other in zip(ours[1:], theirs[1:], strict=True))
            for column in (0, 1)
        ]
        lines.append(f"times the rate of {name}: {ratios[0]:.2f} by wall time, {ratios[1]:.2f} by CPU time")
    return lines


def gsm8k(path: str, max_length: int) -> Examples:
    """Returns GSM8K's training examples, with a tokenizer trained on them."""
    problems = read_problems(path)
    return examples.tokenise(problems, tokenizer.encoder(problems), path, joint=False, max_length=max_length)


@contextlib.contextmanager
def _peers(
    config: TrainConfig, batches: Batches, folder: str, steps: int, microbatch: int
) -> Iterator[dict[str, Connection]]:
    """Starts the peers and yields a connection to each; they train the model in `folder`, one step per message."""
    for package in ("torch", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"the benchmark's peer is missing (no {package}): pip install torch accelerate")
    numbers = np.concatenate([batches.numbers(number) for number in range(steps)])
    known = batches.examples
    examples = [(np.array(known[int(number)], np.int64), int(known.prompts[number])) for number in numbers]
    settings = {
        "max_steps": steps,
        "per_device_train_batch_size": microbatch,
        "gradient_accumulation_steps": config.batch // microbatch,
        "learning_rate": config.learning_rate,
        "warmup_steps": math.ceil(config.warmup * batches.steps),  # as in a whole run, so that the rates equal ours
        "lr_scheduler_type": config.decay,
        "max_grad_norm": config.clip,
    }
    context = multiprocessing.get_context("spawn")
    turns: dict[str, Connection] = {}
    processes = []
    try:
        for name, environment in _PEERS.items():
            turns[name], theirs = context.Pipe()
            os.environ.update(environment)  # inherited by the process
            processes.append(context.Process(target=train_peer.train, args=(theirs, folder, settings, examples)))
            processes[-1].start()
            for variable in environment:
                del os.environ[variable]
            theirs.close()
            turns[name].recv()  # it is ready, and idle from now on
        yield turns
    except EOFError as error:
        raise UserError("the benchmark's peer has stopped; see its message above") from error
    finally:
        for process in processes:
            process.kill()
            process.join()


def analytic_bytes(config: TrainConfig, llama: architecture.LlamaConfig, tokens: int) -> float:
    """Returns the bytes that one part of `tokens` tokens needs beside the state, without remat, in fp32.

    That is gradients (twice if they are accumulated); for each layer its input, norms, query, key, value, context,
    attention scores and weights, and MLP products; and one chunk of logits with its gradient.
    """
    gradients = (1 if config.accumulation == 1 else 2) * llama.parameters
    heads = (llama.heads * 2 + llama.kv_heads * 2) * llama.head_width
    layer = tokens * (4 * llama.width + heads + 2 * llama.heads * config.row_length + 4 * llama.mlp_width)
    loss = 3 * config.loss_chunk * llama.vocabulary + llama.vocabulary * llama.width
    return 4.0 * (gradients + llama.layers * layer + loss)
