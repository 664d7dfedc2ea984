"""The compiled programs of sampling, and the loop that keeps the device busy."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from rft_jax.model import partition
from rft_jax.model.llama import Llama
from rft_jax.sample import decode
from rft_jax.sample.decode import STEPS, Orders, Steps, Stop
from rft_jax.sample.job import Job, Response
from rft_jax.sample.kv.pages import CacheSizes
from rft_jax.sample.kv.prefill import prefill, read_prefix
from rft_jax.sample.prompt_batch import PromptBatch
from rft_jax.sample.sampling import SamplingParameters
from rft_jax.sample.schedule import Schedule
from rft_jax.sample.seating import open_slots

T = TypeVar("T")


class Engine(Protocol):
    """What `responses` needs from a device."""

    def prefill(self, batch: PromptBatch) -> None:
        """Reads prompts into their slots."""

    def start(self, orders: Orders) -> Any:
        """Starts the next steps and returns at once."""

    def wait(self, started: Any) -> tuple[Steps, np.ndarray | None]:
        """Returns what `Schedule.record` takes, as numpy arrays."""


class DeviceEngine:
    """The engine of a Llama on a mesh.

    It compiles four programs, whatever the lengths: to set up, to read prompts, to decode, to turn the page; one more
    for a prefix, and one for each power of two in the lengths of the samples that it resumes.
    """

    def __init__(
        self,
        model: Llama,
        mesh: Mesh,
        sizes: CacheSizes,
        *,
        prefix: np.ndarray,
        parameters: SamplingParameters,
        stop: Stop,
        max_new: int,
        seed: int,
        dtype: jnp.dtype,
        steps: int = STEPS,
        logprobs: bool = False,
    ) -> None:
        """Allocates the cache on the devices.

        Args:
            model: with unstacked layers, laid out on the mesh.
            mesh: of the devices.
            sizes: of the cache on one device.
            prefix: int32 [tokens], what all prompts begin with; may be empty.
            parameters: of the distribution that tokens are sampled from.
            stop: which token ends a sequence.
            max_new: tokens per response at most.
            seed: of the run.
            dtype: of the computation and the cache.
            steps: per call; half a page is a whole number of calls.
            logprobs: whether to tell the tokens' log-probabilities.
        """
        self._model, self._mesh, self._steps, self._half_page = model, mesh, steps, sizes.page_size // 2
        self._decode = make_decode(
            steps=steps, parameters=parameters, stop=stop, max_new=max_new, dtype=dtype, logprobs=logprobs
        )
        self._turn_page = jax.jit(decode.turn_page, donate_argnums=0)
        self._prefill = jax.jit(functools.partial(_prefill, dtype=dtype), donate_argnums=2)
        with jax.set_mesh(mesh):
            self._seed = self._put(np.asarray(jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))), None)
            read = jax.jit(functools.partial(read_prefix, dtype=dtype))
            kept = read(model, self._put(prefix, None)) if len(prefix) else None
            self._state = jax.jit(decode.idle, static_argnums=(1, 2))(model, sizes, dtype, kept)

    def prefill(self, batch: PromptBatch) -> None:
        """Reads prompts into their slots."""
        with jax.set_mesh(self._mesh):
            self._state = self._prefill(self._model, self._placed(batch), self._state)

    def start(self, orders: Orders) -> Any:
        """Starts the next steps and returns at once, with arrays that are being computed."""
        lost = None
        with jax.set_mesh(self._mesh):
            self._state, steps = self._decode(self._model, self._state, self._placed(orders), self._seed)
            if (int(orders.now) + self._steps) % self._half_page == 0:
                self._state, lost = self._turn_page(self._state)
        return steps, lost

    def wait(self, started: Any) -> tuple[Steps, np.ndarray | None]:
        """Returns what the rows did in these steps, as numpy arrays."""
        return jax.tree.map(lambda x: jax.device_get(x.addressable_data(0)), started)

    def _placed(self, tree: T) -> T:
        return jax.tree.map(lambda x: self._put(x, (None, "lengths", "tokens")[x.ndim]), tree)

    def _put(self, x: np.ndarray, role: str | None) -> jax.Array:
        # Every process holds the whole array and gives its own devices their shards; nothing travels between processes.
        spec = partition.P() if role is None else partition.spec(role, x.shape, self._mesh)
        sharding = NamedSharding(self._mesh, spec)
        parts = [
            jax.device_put(x[index], to) for to, index in sharding.addressable_devices_indices_map(x.shape).items()
        ]
        return jax.make_array_from_single_device_arrays(x.shape, sharding, parts)


def make_decode(**settings: Any) -> jax.stages.Wrapped:
    """Returns the jitted `decode.decode` with these settings; it donates the state and can be lowered on its own."""
    return jax.jit(functools.partial(decode.decode, **settings), donate_argnums=1)


def _prefill(model: Llama, batch: PromptBatch, state: decode.State, dtype: jnp.dtype) -> decode.State:
    cache = prefill(model, batch.tokens, batch.lengths, batch.slots, batch.pages, state.cache, dtype)
    return dataclasses.replace(state, cache=cache, slots=open_slots(state.slots, batch.slots, batch.wanted))


def responses(
    engine: Engine, schedule: Schedule, jobs: Iterator[Job], each_call: Callable[[], None] = lambda: None
) -> Iterator[Response]:
    """Yields the samples of all jobs as they finish. The device is always a call ahead of the host.

    Args:
        engine: that does the work.
        schedule: that says which.
        jobs: may end, and have more later: it is asked before each call.
        each_call: is called after each call.

    Raises:
        UserError: the model's logits were not finite; what has finished comes first.
    """
    started = None
    while True:
        while (batch := schedule.fill(jobs)) is not None:
            engine.prefill(batch)
        before, started = started, engine.start(schedule.orders()) if schedule.busy else None
        if before is not None:
            yield from schedule.record(*engine.wait(before))
            each_call()
            if schedule.failure is not None:
                raise schedule.failure
        if started is None:
            return
