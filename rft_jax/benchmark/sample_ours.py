"""Our sampler on a workload: the one place in the benchmark that follows the sampler's interface."""

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from rft_jax.benchmark.sample_work import Work
from rft_jax.model import partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.llama import Llama
from rft_jax.sample import capacity, prompts
from rft_jax.sample.decode import Orders
from rft_jax.sample.engine import DeviceEngine, responses
from rft_jax.sample.job import Job, Response, split
from rft_jax.sample.prompt_batch import prompt_batch
from rft_jax.sample.sampling import SamplingParameters
from rft_jax.sample.schedule import Schedule


class Sampler:
    """Our sampler with random weights, compiled, and its work."""

    def __init__(self, work: Work, config: LlamaConfig, mesh: Mesh, *, rows: int | None, top_k: int) -> None:
        """Compiles.

        Args:
            work: to do.
            config: of the model.
            mesh: of the devices.
            rows: samples in flight per device; None: as many as launch/sample.py would choose.
            top_k: of sampling.
        """
        dtype = jnp.dtype(jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
        model = jax.jit(lambda: Llama(config, jax.random.key(0), dtype=dtype, stacked=False))()
        model = jax.device_put(model, partition.shardings(model, mesh))
        encoded = prompts.split([np.array(prompt, np.int32) for prompt in work.prompts])
        samples = tuple(range(work.lengths.shape[1]))
        lengths = capacity.Lengths(np.array([len(own) for own in encoded.own]), work.expected, work.limit)
        sizes = capacity.fit(
            lengths,
            config,
            mesh,
            samples=len(samples),
            wanted=work.lengths.size,
            dtype=dtype,
            prefix=len(encoded.prefix),
            rows=rows,
        )
        whole = (Job(number, own, samples) for number, own in enumerate(encoded.own))
        self._jobs = [job for each in whole for job in split(each, sizes.samples)]
        forced = jnp.asarray(work.lengths, jnp.int32)

        def stop(token: jax.Array, count: jax.Array, problem: jax.Array, sample: jax.Array) -> jax.Array:
            return count >= forced.at[problem, sample].get(mode="clip", out_sharding=jax.typeof(count).sharding)

        self._engine = _Engine(
            model, mesh, sizes, prefix=encoded.prefix, parameters=SamplingParameters(work.temperature, top_k=top_k),
            stop=stop, max_new=work.limit, seed=0, dtype=dtype,
        )  # fmt: skip
        # Compiles by reading no prompt and decoding in idle rows.
        devices = capacity.devices(mesh)
        idle = Schedule(sizes, devices=devices, skipped=0)
        for width in (0, sizes.prompt_width):
            self._engine.prefill(prompt_batch([[] for _ in range(devices)], sizes, skipped=0, at_least=width))
        self._engine.wait(self._engine.start(idle.orders()))
        self._schedule = Schedule(sizes, devices=devices, skipped=len(encoded.prefix))

    def responses(self, seconds: float) -> Iterator[Response]:
        """Yields the responses that are made in this time, all of them if it suffices."""
        self._engine.deadline = time.perf_counter() + seconds
        try:
            yield from responses(self._engine, self._schedule, iter(self._jobs))
        except TimeoutError:
            return

    def figures(self) -> dict[str, Any]:
        """Returns the useful tokens, those of unfinished samples included, and the shares of steps that were not."""
        made, again = self._schedule.made, self._schedule.read_again
        return {"tokens": made, "occupancy": self._schedule.occupancy, "twice": again / max(1, made + again)}


class _Engine(DeviceEngine):
    """Starts nothing after a deadline."""

    deadline = float("inf")

    def start(self, orders: Orders) -> Any:
        """Starts the next steps.

        Raises:
            TimeoutError: the time is up.
        """
        if time.perf_counter() > self.deadline:
            raise TimeoutError
        return super().start(orders)
