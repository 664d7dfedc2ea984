"""Sampling a token from logits: temperature, top-k, top-p, min-p, and one uniform number per token.

Every filter is a threshold on the logits, so nothing here sorts the vocabulary. A token
is then found by inverting the cumulative distribution, first among groups of tokens, then within one group: one pass
over the logits and one random number, where Gumbel noise needs a random number and two logarithms per token of the
vocabulary (50 times slower on CPU).
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rft_jax import ranges
from rft_jax.config import Count, Part, Temperature

GROUP = 64  # tokens per group; the fastest of 32, 64, 128 for V = 32,000 on CPU
NEVER = -jnp.inf
FAINT = -80.0  # logits this far below the largest count as minus infinity: no uniform number reaches them


@dataclasses.dataclass(frozen=True)
class SamplingParameters:
    """The distribution a token is drawn from.

    The filters apply in this order, each to what the previous one left, as in transformers.

    Attributes:
        temperature: the logits are divided by it; 0 takes the most likely token and no filter matters.
        top_k: keep the k most likely tokens, and those as likely as the last of them; None keeps all.
        top_p: keep the most likely tokens that together have this probability; None keeps all.
        min_p: keep tokens at least this likely, relative to the most likely one; None keeps all.
    """

    temperature: Temperature
    top_k: Count | None = None
    top_p: Part | None = None
    min_p: Part | None = None

    def __post_init__(self) -> None:
        ranges.check(self)


def sample_tokens(logits: jax.Array, uniform: jax.Array, parameters: SamplingParameters) -> jax.Array:
    """Returns one token per row, int32 [B], for logits fp32 [B, V].

    Args:
        logits: as the model gives them.
        uniform: fp32 [B], from 0 up to, not including, 1; equal numbers draw equal tokens.
        parameters: of the distribution to sample from.
    """
    if parameters.temperature == 0:
        return most_likely(logits)
    return invert(logits, threshold(logits, parameters), parameters.temperature, uniform)


def log_probabilities(logits: jax.Array, tokens: jax.Array, temperature: float) -> jax.Array:
    """Returns how likely tokens were, before any filter: fp32 [B, 2], natural logarithms, up to 0.

    The first is at the temperature that they were sampled at, the second at temperature 1. At temperature 0 all
    probability is on the most likely token, so the first is 0 by definition.

    Args:
        logits: fp32 [B, V], as the model gives them.
        tokens: int32 [B], sampled from them.
        temperature: they were sampled at.
    """
    relative = logits - jnp.max(logits, axis=-1, keepdims=True)
    chosen = _at(relative, tokens)
    at_1 = chosen - jnp.log(jnp.sum(jnp.exp(relative), axis=-1))
    if temperature == 0:
        sampled = jnp.zeros_like(at_1)
    elif temperature == 1:
        sampled = at_1
    else:
        sampled = chosen / temperature - jnp.log(jnp.sum(jnp.exp(relative / temperature), axis=-1))
    return jnp.stack([sampled, at_1], axis=-1)


def finite(logits: jax.Array) -> jax.Array:
    """Returns whether a token can be sampled from each row of logits [B, V]: bool [B].

    The largest logit is then a number; smaller ones may be minus infinity. A NaN anywhere is the largest.
    """
    return jnp.isfinite(_largest(logits))


def threshold(logits: jax.Array, parameters: SamplingParameters) -> jax.Array:
    """Returns the smallest of the logits [B, V] that the filters keep, fp32 [B]; minus infinity if they keep all."""
    least = jnp.full(len(logits), NEVER, logits.dtype)
    if parameters.top_k is not None and parameters.top_k < logits.shape[-1]:
        least = jax.lax.optimization_barrier(kth_largest(logits, parameters.top_k))
    if parameters.top_p is not None and parameters.top_p < 1:
        weights = _mass(logits, _largest(logits), least, parameters.temperature)
        least = jnp.maximum(least, nucleus_threshold(logits, weights, parameters.top_p))
    if parameters.min_p is not None:
        # Relative to the most likely token, which the other filters keep.
        least = jnp.maximum(least, _largest(logits) + parameters.temperature * math.log(parameters.min_p))
    return jax.lax.optimization_barrier(least)  # or XLA computes it anew for every token


def most_likely(logits: jax.Array) -> jax.Array:
    """Returns the first of the most likely tokens, int32 [B]."""
    # XLA's argmax is 30 times slower on CPU than its max: look for the group by its maximum, then inside.
    group = jnp.argmax(_maxima(logits), axis=-1)
    inside = jnp.argmax(_at(_grouped(logits, NEVER), group), axis=-1)
    return (group * GROUP + inside).astype(jnp.int32)


def kth_largest(logits: jax.Array, k: int) -> jax.Array:
    """Returns the k-th largest of each row, [B], exactly.

    The k largest lie in the k groups with the largest maxima, so only those are searched.
    """
    groups = _grouped(logits, NEVER)
    if k < groups.shape[1]:
        _, best = jax.lax.top_k(_maxima(logits), k)
        groups = jnp.take_along_axis(groups, best[:, :, None], axis=1)
    # The smallest of them, not the last: XLA knows a slice of top_k only as a sort of everything, 90 times slower.
    return jnp.min(jax.lax.top_k(groups.reshape(len(logits), -1), k)[0], axis=-1)


def nucleus_threshold(logits: jax.Array, weights: jax.Array, top_p: float) -> jax.Array:
    """Returns for each row the smallest logit, [B], above which there is less probability than `top_p`.

    Bisection on the bits of the probabilities, which order as their values: 31 sums instead of a sort, and exact.

    Args:
        logits: [B, V].
        weights: [B, V], from 0 to 1, to which the tokens' probabilities are proportional.
        top_p: as in SamplingParameters.
    """
    enough = top_p * jnp.sum(weights, axis=-1)

    def halve(_: int, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds  # above `high` there is too little; above `low` there is enough
        middle = low + (high - low) // 2
        value = jax.lax.bitcast_convert_type(middle, jnp.float32)
        above = jnp.sum(jnp.where(weights > value[:, None], weights, 0.0), axis=-1)
        little = above < enough
        return jnp.where(little, low, middle), jnp.where(little, middle, high)

    one = jax.lax.bitcast_convert_type(jnp.float32(1), jnp.int32)
    bounds = jnp.full_like(enough, -1, jnp.int32), jnp.full_like(enough, one, jnp.int32)
    _, smallest = jax.lax.fori_loop(0, 31, halve, bounds)
    kept = weights >= jax.lax.bitcast_convert_type(smallest, jnp.float32)[:, None]
    return jnp.min(jnp.where(kept, logits, jnp.inf), axis=-1)


def invert(logits: jax.Array, least: jax.Array, temperature: float, uniform: jax.Array) -> jax.Array:
    """Returns the token of each row at which the cumulative distribution passes `uniform` [B].

    Args:
        logits: [B, V].
        least: [B], the smallest logit that counts.
        temperature: above 0; the logits are divided by it.
        uniform: as for `sample_tokens`.
    """
    largest = jax.lax.optimization_barrier(_largest(logits))
    groups = _grouped(logits, NEVER)
    # Computed twice, for the sums and for the chosen group, rather than written.
    levels = [jnp.sum(_mass(groups, largest, least, temperature), axis=-1)]
    while levels[-1].shape[-1] > GROUP:
        # Each sum is used twice, and XLA would rather compute it twice.
        levels[-1] = jax.lax.optimization_barrier(_grouped(levels[-1], 0.0))
        levels.append(jnp.sum(levels[-1], axis=-1))
    # From the sums of the largest groups down to the tokens: no running sum is over more than GROUP numbers.
    *groups_below, mass = levels
    index, target = _first_above(mass, uniform * jnp.sum(mass, axis=-1))
    for sums in reversed(groups_below):
        inside, target = _first_above(_at(sums, index), target)
        index = index * GROUP + inside
    inside, _ = _first_above(_mass(_at(groups, index), largest, least, temperature), target)
    return (index * GROUP + inside).astype(jnp.int32)


def _mass(logits: jax.Array, largest: jax.Array, least: jax.Array, temperature: float) -> jax.Array:
    """Returns what tokens weigh, from 0 to 1, for logits [B, ...]; `largest` and `least`, [B], are of their rows."""
    largest, least = (x.reshape(-1, *[1] * (logits.ndim - 1)) for x in (largest, least))
    relative = (logits - largest) / temperature
    # Nothing, not little, for what does not count; and no denormal numbers, which slow a CPU down.
    return jnp.where((logits >= least) & (relative > FAINT), jnp.exp(jnp.maximum(relative, FAINT)), 0.0)


def _largest(logits: jax.Array) -> jax.Array:
    """Returns the largest of each row of logits [B, V]; from the groups' maxima, which others need too."""
    return jnp.max(_maxima(logits), axis=-1)


def _maxima(logits: jax.Array) -> jax.Array:
    """Returns the largest of each group of logits [B, V]."""
    return jax.lax.optimization_barrier(jnp.max(_grouped(logits, NEVER), axis=-1))  # or XLA looks once for each use


def _first_above(mass: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the first index at which the running sum of mass exceeds target [B], and what the target has left there.

    Rounding may put the target at or above the total; then the index is the last one with any mass.

    Args:
        mass: fp32 [B, n], n tokens or groups.
        target: fp32 [B].
    """
    running = jnp.cumsum(mass, axis=-1)
    beyond = running > target[:, None]
    last = mass.shape[-1] - 1 - jnp.argmax((mass > 0)[:, ::-1], axis=-1)
    index = jnp.where(beyond[:, -1], jnp.argmax(beyond, axis=-1), last)
    # Below 0 by rounding it would lie before the first token that counts.
    return index, jnp.maximum(target - (_at(running, index) - _at(mass, index)), 0)


def _grouped(x: jax.Array, padding: float) -> jax.Array:
    """Returns [B, V] as [B, V / GROUP, GROUP], padded."""
    missing = -x.shape[-1] % GROUP
    if missing:
        x = jnp.pad(x, ((0, 0), (0, missing)), constant_values=padding)
    return x.reshape(len(x), -1, GROUP)


def _at(x: jax.Array, index: jax.Array) -> jax.Array:
    """Returns x[b, index[b]] for each b."""
    return jnp.take_along_axis(x, index.reshape(-1, *[1] * (x.ndim - 1)), axis=1)[:, 0]
