"""Our trainer for the benchmark: a process that takes one step per message and reports its cost."""

import functools
from multiprocessing.connection import Connection

import jax
import jax.numpy as jnp

from rft_jax import runtime
from rft_jax.benchmark.train_turns import peak_bytes, timed
from rft_jax.config import TrainConfig
from rft_jax.data.batches import Batches
from rft_jax.hf import pretrained
from rft_jax.train import assemble, step


def train(turns: Connection, folder: str, config: TrainConfig, batches: Batches, steps: int) -> None:
    """Trains as launch/train.py does: says when it is ready, then waits for a message before each step.

    Args:
        turns: connection to the measuring process; any message starts a step, and the reply is its `Measured`.
            After the last one the peak memory follows, in bytes.
        folder: of the model.
        config: of the run.
        batches: of the run.
        steps: to take.
    """
    runtime.start()
    mesh = runtime.make_mesh(1, 1, 1)
    with jax.set_mesh(mesh):
        optimizer, take_step = assemble.make_training(config)
        rate = assemble.make_schedule(config, batches.steps)
        state = step.make_state(pretrained.load(folder, mesh, dtype=jnp.float32, stacked=True), optimizer, mesh)

        def take(number: int) -> float:
            nonlocal state
            state, metrics = take_step(state, *step.put(batches[number], False, rate(number), mesh))
            return float(metrics["loss"])

        turns.send("ready")
        for number in range(steps):
            turns.recv()
            turns.send(timed(functools.partial(take, number)))
        turns.send(peak_bytes())
