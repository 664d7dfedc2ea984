"""The device side of sampling: rows that decode one sample after another, some steps per call. Tokens only, no text.

The host says which prompts there are, how many samples may start, and which are to stop. It sees what happened after
each call, while the next one runs.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rft_jax.model import partition
from rft_jax.model.attention import per_device
from rft_jax.model.llama import Llama
from rft_jax.sample.kv.decode_step import step
from rft_jax.sample.kv.flush import flush
from rft_jax.sample.kv.pages import Cache, CacheSizes, KeysValues, empty, forget
from rft_jax.sample.sampling import SamplingParameters, finite, log_probabilities, sample_tokens
from rft_jax.sample.seating import NONE, Rows, Slots, nobody, seat

# Takes token, count of tokens with it, problem and sample, each int32 [B]; returns bool [B], whether the sample ends.
Stop = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]

Array = Any  # numpy's on the host, JAX's on the devices

STEPS = 8  # per call: fewer return to the host oftener, more leave rows idle for longer; whole calls in half a page

GOES_ON, ENDED, FULL = 0, 1, 2  # values of `Steps.finish`: how a step leaves a sample


@functools.partial(jax.tree_util.register_dataclass, data_fields=["cache", "rows", "slots"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class State:
    """What is on the devices.

    Attributes:
        cache: keys and values.
        rows: what each row decodes.
        slots: what is wanted of each prompt.
    """

    cache: Cache
    rows: Rows
    slots: Slots


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["order", "room", "stop_slot", "stop_sample", "prompt_reach", "prompt_depth", "now"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Orders:
    """What the host decides for a call.

    Attributes:
        order: int32 [slots], the slots of each device in the order in which samples are taken from them.
        room: int32 [1] per device, how many samples may start.
        stop_slot, stop_sample: int32 [B], the sample that the row is to leave, if it still decodes it; or NONE.
        prompt_reach, prompt_depth: int32 [1] per device, `reach` and `depth` of `Cache.prompts`.
        now: int32 [], the step that the call begins with, modulo C.
    """

    order: Array
    room: Array
    stop_slot: Array
    stop_sample: Array
    prompt_reach: Array
    prompt_depth: Array
    now: Array


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["token", "sample", "slot", "finish", "finite", "logprobs"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Steps:
    """What the rows did in a call; replicated on every device.

    Attributes:
        token: int32 [steps, B], sampled at each step.
        sample: int32 [steps, B], the sample that the token belongs to; NONE where the row was idle.
        slot: int32 [steps, B], the slot of that sample; arbitrary where the row was idle.
        finish: int32 [steps, B], GOES_ON, ENDED or FULL.
        finite: bool [steps, B], false where the logits had no finite maximum, so that the token means nothing.
        logprobs: fp32 [steps, B, 2], as `sampling.log_probabilities` gives them; None if they are not asked for.
    """

    token: Array
    sample: Array
    slot: Array
    finish: Array
    finite: Array
    logprobs: Array | None


def stop_at(eos_tokens: tuple[int, ...]) -> Stop:
    """Returns a Stop at any of the eos tokens."""

    def stop(token: jax.Array, count: jax.Array, problem: jax.Array, sample: jax.Array) -> jax.Array:
        return functools.reduce(jnp.logical_or, (token == eos for eos in eos_tokens))

    return stop


def idle(model: Llama, sizes: CacheSizes, dtype: jnp.dtype, prefix: tuple[KeysValues, ...] | None) -> State:
    """Returns the state of idle rows; call it under jax.jit, so that no device holds more than its shard."""
    rows, slots = nobody(sizes)
    return State(empty(model, sizes, dtype, prefix), rows, slots)


def decode(
    model: Llama,
    state: State,
    orders: Orders,
    seed: jax.Array,
    *,
    steps: int,
    parameters: SamplingParameters,
    stop: Stop,
    max_new: int,
    dtype: jnp.dtype,
    logprobs: bool = False,
) -> tuple[State, Steps]:
    """Runs some steps; none if there is nothing to do on any device.

    Args:
        model: with unstacked layers.
        state: donate it.
        orders: for this call.
        seed: uint32 [2], key data of the run's random key.
        steps: in half a page there is a whole number of calls.
        parameters: of the distribution that tokens are sampled from.
        stop: which token ends a sample.
        max_new: tokens per response at most.
        dtype: of the computation and the cache.
        logprobs: whether to tell the tokens' log-probabilities.
    """
    rows, cache = state.rows, state.cache
    told = (orders.stop_sample == rows.sample) & (orders.stop_slot == rows.slot)
    rows = dataclasses.replace(rows, sample=jnp.where(told, NONE, rows.sample))
    prompts = dataclasses.replace(cache.prompts, reach=orders.prompt_reach, depth=orders.prompt_depth)
    state = dataclasses.replace(state, rows=rows, cache=dataclasses.replace(cache, prompts=prompts))

    def run_step(number: jax.Array, loop: tuple[State, jax.Array, Steps]) -> tuple[State, jax.Array, Steps]:
        state, room, made = loop
        free = state.rows.sample == NONE
        # Samples start with a page: which of its steps lie in one decides in which order its sums are added, and that
        # must not depend on when it starts. Pages begin at two times, so that few steps pass before the next start.
        now = orders.now + number
        starting = now % (cache.page_size // 2) == 0
        rows, seated, left, asked = seat(state.rows, state.slots, orders.order, jnp.where(starting, room, 0))
        room = jnp.where(starting, left, room)
        sequence = asked.length + rows.count - asked.begun
        seats = jnp.where(rows.slot < slots, rows.slot * seats_each + rows.seat, slots * seats_each)
        columns = jnp.where(rows.sample == NONE, now, rows.column)
        logits, after = step(
            model, rows.token, sequence, forget(state.cache, free), seated.members, seats, columns, now, dtype
        )
        token, sane, told = _draw(logits, seed, asked.problem, rows.sample, rows.count, parameters)
        count = rows.count + 1
        ended = stop(token, count, asked.problem, rows.sample)
        finish = jnp.where(ended, ENDED, jnp.where(count >= max_new, FULL, GOES_ON))
        live = rows.sample != NONE
        finish = jnp.where(live, finish, GOES_ON)
        new = Steps(token, rows.sample, rows.slot, finish, sane | ~live, told if logprobs else None)
        rows = dataclasses.replace(
            rows,
            token=token,
            count=count,
            column=(columns + 1) % cache.page_size,
            sample=jnp.where(finish == GOES_ON, rows.sample, NONE),
        )
        made = jax.tree.map(lambda all, one: jax.lax.dynamic_update_index_in_dim(all, one, number, 0), made, new)
        return State(after, rows, seated), room, made

    slots = len(state.slots.size) // partition.batch_devices()  # slot numbers are per device
    seats_each = state.slots.members.shape[1]
    waiting = jnp.any(state.slots.taken < state.slots.size) & jnp.any(orders.room > 0)
    busy = jnp.any(rows.sample != NONE) | waiting
    nothing = jnp.zeros_like(jnp.broadcast_to(rows.sample, (steps, len(rows.sample))))
    no_logprobs = jnp.stack([nothing.astype(jnp.float32)] * 2, axis=-1) if logprobs else None
    made = Steps(nothing, nothing + NONE, nothing, nothing + GOES_ON, nothing == 0, no_logprobs)
    loop = jax.lax.fori_loop(0, jnp.where(busy, steps, 0), run_step, (state, orders.room, made))
    return loop[0], jax.tree.map(partition.everywhere, loop[2])


def turn_page(state: State) -> tuple[State, jax.Array]:
    """Moves the current pages that are full to the history; donate the state.

    Returns:
        The state, and bool [B], replicated: rows that gave way to older ones for lack of pages. They are idle now.
    """
    rows = state.rows
    cache, lost = flush(state.cache, rows.sample != NONE, rows.column == 0, rows.count)
    rows = dataclasses.replace(rows, sample=jnp.where(lost, NONE, rows.sample))
    return State(cache, rows, state.slots), partition.everywhere(lost)


def _draw(
    logits: jax.Array,
    seed: jax.Array,
    problem: jax.Array,
    sample: jax.Array,
    position: jax.Array,
    parameters: SamplingParameters,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Samples one token per row; its random number depends on (seed, problem, sample, position) alone.

    Returns:
        The tokens, int32 [B]; bool [B], whether the row's logits were such that one could be drawn; and their
        log-probabilities, fp32 [B, 2].
    """

    def uniform(seed: jax.Array, *numbers: jax.Array) -> jax.Array:
        key = jax.random.wrap_key_data(seed, impl="threefry2x32")
        for number in numbers:
            key = jax.random.fold_in(key, number)
        return jax.random.uniform(key, dtype=jnp.float32)

    def draw(logits, problem, sample, position, seed):  # type: ignore[no-untyped-def]
        numbers = jax.vmap(uniform, in_axes=(None, 0, 0, 0))(seed, problem, sample, position)
        token = sample_tokens(logits, numbers, parameters)
        return token, finite(logits), log_probabilities(logits, token, parameters.temperature)

    rows = (("whole_logits", logits), ("choices", problem), ("choices", sample), ("choices", position))
    token, sane, logprobs = per_device(draw, *rows, (None, seed), like=(1, 1, 0))
    return partition.place(token, "lengths"), partition.place(sane, "lengths"), partition.place(logprobs, "tokens")
