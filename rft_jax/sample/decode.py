"""The device side of sampling: rows that sample one path after another, many steps a call. It knows tokens, not text.

Rows take what the host orders: whose prompt they share, and which sample they start when theirs has ended, at once and
without the host. The host hears what happened after each call.
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
from rft_jax.sample.kv.flush import flush
from rft_jax.sample.kv.pages import Cache, KeysValues, Sizes, empty
from rft_jax.sample.kv.step import step
from rft_jax.sample.sampling import SamplingParameters, sample_tokens

# Takes token, count of tokens with it, problem and sample, each int32 [B]; returns bool [B], whether the sample ends.
Stop = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]

Array = Any  # numpy's on the host, JAX's on the devices

GOES_ON, ENDED, FULL = 0, 1, 2  # how a step leaves a sample: what `Steps.finish` holds
NONE = -1  # in place of a sample's number


@functools.partial(jax.tree_util.register_dataclass, data_fields=["cache", "token", "sample", "count"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class State:
    """What the rows have done.

    Attributes:
        cache: keys and values.
        token: int32 [B], the token to read next.
        sample: int32 [B], the sample's number, or NONE.
        count: int32 [B], tokens that the sample has so far.
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
    """What the rows shall do in the next call. A row that is sampling keeps its problem and seat.

    Attributes:
        problem: int32 [B], the number of the problem.
        last_token: int32 [B], the last token of the prompt: what a sample reads first.
        prompt_length: int32 [B], the tokens before that one.
        queued: int32 [B], the sample to start when the row has none, or NONE.
        seat: int32 [B], where the row stands in `members`, flattened, on its device.
        members: int32 [slots, W], the rows that share each slot's prompt; B or more: nobody.
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
    """What the rows did in a call, the same on every device.

    Attributes:
        token: int32 [C, B], chosen at each step.
        sample: int32 [C, B], of which sample; NONE where the row stood idle.
        finish: int32 [C, B], GOES_ON, ENDED or FULL.
        lost: bool [B], rows that found no room for their history and start their sample anew.
    """

    token: Array
    sample: Array
    finish: Array
    lost: Array


def stop_at(end_tokens: tuple[int, ...]) -> Stop:
    """Returns a Stop for the tokens that end a text."""

    def stop(token: jax.Array, count: jax.Array, problem: jax.Array, sample: jax.Array) -> jax.Array:
        return functools.reduce(jnp.logical_or, (token == end for end in end_tokens))

    return stop


def idle(model: Llama, sizes: Sizes, dtype: jnp.dtype, prefix: tuple[KeysValues, ...] | None) -> State:
    """Returns rows that have done nothing; compile it (jax.jit), so that no device ever holds more than its part."""
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
    """Runs C steps.

    Args:
        model: with its layers apart.
        state: donate it.
        orders: for this call.
        seed: uint32 [2], the key data of the run's random numbers.
        parameters: how tokens are chosen.
        stop: which token ends a sample.
        max_new: tokens after which a sample is cut.
        dtype: of the computation and the cache.
    """
    size = state.cache.block
    no_block = len(state.cache.owner) // partition.batch_devices()  # on one device, as the tables count

    def run_step(carry: tuple[State, jax.Array, jax.Array], now: jax.Array) -> tuple[tuple, tuple]:
        state, queued, begin = carry
        free = state.sample < 0
        starts = free & (queued >= 0)
        sample = jnp.where(starts, queued, state.sample)
        token = jnp.where(starts, orders.last_token, state.token)
        count = jnp.where(starts, 0, state.count)
        begin = jnp.where(free, now, begin)
        table = jnp.where(free[:, None], no_block, state.cache.table)

        logits, cache = step(
            model, token, orders.prompt_length + count, dataclasses.replace(state.cache, table=table),
            orders.members, orders.seat, begin, now, dtype,
        )  # fmt: skip
        token = _draw(logits, seed, orders.problem, sample, count, parameters)
        count = count + 1
        finish = jnp.where(
            stop(token, count, orders.problem, sample), ENDED, jnp.where(count >= max_new, FULL, GOES_ON)
        )
        finish = jnp.where(sample >= 0, finish, GOES_ON)
        after = State(cache, token, jnp.where(finish == GOES_ON, sample, NONE), count)
        return (after, jnp.where(starts, NONE, queued), begin), (token, sample, finish)

    start = state, orders.queued, jnp.zeros_like(state.count)
    (state, _, begin), (token, sample, finish) = jax.lax.scan(run_step, start, jnp.arange(size, dtype=jnp.int32))
    cache, lost = flush(state.cache, state.sample >= 0, begin, state.count)
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
    """Chooses a token for each row, its random number a function of (seed, problem, sample, position) alone."""

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
