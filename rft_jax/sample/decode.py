"""The device side of sampling: rows that decode one sequence after another, C steps per call. Tokens only, no text.

The host's orders say whose prompt a row shares and which sample it starts next. When a row's sequence ends, it starts
the queued one at the next step, without waiting for the host, which sees what happened after each call.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rft_jax.model import partition
from rft_jax.model.attention import per_device
from rft_jax.model.llama import Llama
from rft_jax.sample.kv.decode_step import step
from rft_jax.sample.kv.flush import flush
from rft_jax.sample.kv.pages import Cache, CacheSizes, KeysValues, empty, forget
from rft_jax.sample.sampling import SamplingParameters, sample_tokens

# Takes token, count of tokens with it, problem and sample, each int32 [B]; returns bool [B], whether the sample ends.
Stop = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]

Array = Any  # numpy's on the host, JAX's on the devices

GOES_ON, ENDED, FULL = 0, 1, 2  # values of `Steps.finish`: how a step leaves a sequence
NONE = -1  # stands for no sample, no queued sample and no row


@functools.partial(jax.tree_util.register_dataclass, data_fields=["cache", "token", "sample", "count"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class State:
    """What each row is decoding.

    Attributes:
        cache: keys and values.
        token: int32 [B], the token to read next.
        sample: int32 [B], the sample's number, or NONE for an idle row.
        count: int32 [B], tokens of the sequence so far.
    """

    cache: Cache
    token: jax.Array
    sample: jax.Array
    count: jax.Array


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["problem", "last_token", "prompt_length", "queued", "seat", "members"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Orders:
    """What the rows do in the next call. A row that is decoding keeps its problem and seat.

    Attributes:
        problem: int32 [B], the number of the problem.
        last_token: int32 [B], the last token of the prompt, which each sequence reads first.
        prompt_length: int32 [B], how many tokens precede it, the prefix included.
        queued: int32 [B], the sample to start as soon as the row is idle, or NONE.
        seat: int32 [B], the index of the row in its device's `members`, flattened.
        members: int32 [slots, R], the rows that share each slot's prompt; `no_row` for an empty seat.
    """

    problem: Array
    last_token: Array
    prompt_length: Array
    queued: Array
    seat: Array
    members: Array


@functools.partial(jax.tree_util.register_dataclass, data_fields=["token", "sample", "finish", "lost"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Steps:
    """What the rows did in a call; replicated on every device.

    Attributes:
        token: int32 [C, B], sampled at each step.
        sample: int32 [C, B], the sample that the token belongs to; NONE where the row was idle.
        finish: int32 [C, B], GOES_ON, ENDED or FULL.
        lost: bool [B], rows that gave way to older ones for lack of pages, and start their sequence again.
    """

    token: Array
    sample: Array
    finish: Array
    lost: Array


class _Loop(NamedTuple):
    """What changes from step to step within a call.

    Attributes:
        state: of the rows.
        queued: int32 [B], as in `Orders`; NONE once it has started.
        begin: int32 [B], first valid position in the current page, as for `step`.
    """

    state: State
    queued: jax.Array
    begin: jax.Array


def stop_at(eos_tokens: tuple[int, ...]) -> Stop:
    """Returns a Stop at any of the eos tokens."""

    def stop(token: jax.Array, count: jax.Array, problem: jax.Array, sample: jax.Array) -> jax.Array:
        return functools.reduce(jnp.logical_or, (token == eos for eos in eos_tokens))

    return stop


def idle(model: Llama, sizes: CacheSizes, dtype: jnp.dtype, prefix: tuple[KeysValues, ...] | None) -> State:
    """Returns the state of idle rows; call it under jax.jit, so that no device holds more than its shard."""
    rows = sizes.rows * partition.batch_devices()

    def numbers(value: int) -> jax.Array:
        return partition.place(jnp.full(rows, value, jnp.int32), "lengths")

    return State(empty(model, sizes, dtype, prefix), numbers(0), numbers(NONE), numbers(0))


def decode(
    model: Llama,
    state: State,
    orders: Orders,
    seed: jax.Array,
    *,
    parameters: SamplingParameters,
    stop: Stop,
    max_new: int,
    dtype: jnp.dtype,
) -> tuple[State, Steps]:
    """Runs C steps and a flush.

    Args:
        model: with unstacked layers.
        state: donate it.
        orders: for this call.
        seed: uint32 [2], key data of the run's random key.
        parameters: of the distribution that tokens are sampled from.
        stop: which token ends a sequence.
        max_new: tokens per response at most.
        dtype: of the computation and the cache.
    """
    page_size = state.cache.page_size

    def run_step(loop: _Loop, now: jax.Array) -> tuple[_Loop, tuple[jax.Array, jax.Array, jax.Array]]:
        state, queued, begin = loop
        free = state.sample == NONE
        starts = free & (queued != NONE)
        sample = jnp.where(starts, queued, state.sample)
        token = jnp.where(starts, orders.last_token, state.token)
        count = jnp.where(starts, 0, state.count)
        begin = jnp.where(free, now, begin)

        logits, cache = step(
            model, token, orders.prompt_length + count, forget(state.cache, free),
            orders.members, orders.seat, begin, now, dtype,
        )  # fmt: skip
        token = _draw(logits, seed, orders.problem, sample, count, parameters)
        count = count + 1
        finish = jnp.where(
            stop(token, count, orders.problem, sample), ENDED, jnp.where(count >= max_new, FULL, GOES_ON)
        )
        finish = jnp.where(sample != NONE, finish, GOES_ON)
        after = State(cache, token, jnp.where(finish == GOES_ON, sample, NONE), count)
        return _Loop(after, jnp.where(starts, NONE, queued), begin), (token, sample, finish)

    start = _Loop(state, orders.queued, jnp.zeros_like(state.count))
    (state, _, begin), (token, sample, finish) = jax.lax.scan(run_step, start, jnp.arange(page_size, dtype=jnp.int32))
    cache, lost = flush(state.cache, state.sample != NONE, begin, state.count)
    state = State(cache, jnp.where(lost, orders.last_token, state.token), state.sample, jnp.where(lost, 0, state.count))
    return state, jax.tree.map(partition.everywhere, Steps(token, sample, finish, lost))


def _draw(
    logits: jax.Array,
    seed: jax.Array,
    problem: jax.Array,
    sample: jax.Array,
    position: jax.Array,
    parameters: SamplingParameters,
) -> jax.Array:
    """Samples one token per row; its random number depends on (seed, problem, sample, position) alone."""

    def uniform(seed: jax.Array, *numbers: jax.Array) -> jax.Array:
        key = jax.random.wrap_key_data(seed, impl="threefry2x32")
        for number in numbers:
            key = jax.random.fold_in(key, number)
        return jax.random.uniform(key, dtype=jnp.float32)

    def draw(logits, problem, sample, position, seed):  # type: ignore[no-untyped-def]
        numbers = jax.vmap(uniform, in_axes=(None, 0, 0, 0))(seed, problem, sample, position)
        return (sample_tokens(logits, numbers, parameters),)

    rows = (("whole_logits", logits), ("choices", problem), ("choices", sample), ("choices", position))
    (token,) = per_device(draw, *rows, (None, seed), like=(1,))
    return partition.place(token, "lengths")
