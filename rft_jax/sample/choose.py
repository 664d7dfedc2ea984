"""Choosing a token from logits: temperature, top-k, top-p, min-p, and one uniform number a token.

All rules keep whole sets of tokens that a threshold on the logits describes, so nothing here sorts the vocabulary. A
token is then found by inverting the cumulative distribution, first among groups of tokens, then inside one group: one
pass over the logits and one random number, where Gumbel noise needs a random number and two logarithms for each token
of the vocabulary (on CPU 50 times slower).
"""

import dataclasses

import jax
import jax.numpy as jnp

from rft_jax.errors import UserError

GROUP = 64  # tokens looked at together; the fastest of 32, 64, 128 for V = 32,000 on CPU
NEVER = -jnp.inf
FAINT = -80.0  # a logit so far below the largest counts as minus infinity: no uniform number reaches it


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a token is chosen. The filters apply in this order, each to what the one before left, as in transformers.

    Attributes:
        temperature: the logits are divided by it; 0 takes the most likely token and no filter matters.
        top_k: keep the k most likely tokens, and those as likely as the last of them; None keeps all.
        top_p: keep the most likely tokens that together have this probability; None keeps all.
        min_p: keep tokens at least this likely, relative to the most likely one; None keeps all.
    """

    temperature: float
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise UserError(f"temperature {self.temperature}: it is 0 (the most likely token) or a number above")
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top_k {self.top_k}: keep at least 1 token, or give none to keep all")
        for name, value in (("top_p", self.top_p), ("min_p", self.min_p)):
            if value is not None and not 0 < value <= 1:
                raise UserError(f"{name} {value}: a probability above 0 and up to 1, or none to keep all")


def choose(logits: jax.Array, uniform: jax.Array, rule: Rule) -> jax.Array:
    """Returns one token int32 [B] for each row of logits fp32 [B, V].

    Args:
        logits: as the model gives them.
        uniform: fp32 [B], from 0 up to, not including, 1; equal numbers choose equal tokens.
        rule: what may be chosen.
    """
    if rule.temperature == 0:
        return most_likely(logits)
    return invert(filtered(logits, rule), uniform)


def filtered(logits: jax.Array, rule: Rule) -> jax.Array:
    """Returns the logits [B, V] over the temperature, and minus infinity where the rule keeps no token."""
    logits = logits / rule.temperature
    if rule.top_k is not None and rule.top_k < logits.shape[-1]:
        logits = _keep(logits, kth_largest(logits, rule.top_k))
    if rule.top_p is not None and rule.top_p < 1:
        logits = _keep(logits, nucleus_threshold(logits, rule.top_p))
    if rule.min_p is not None:
        logits = _keep(logits, jnp.max(logits, axis=-1) + jnp.log(jnp.float32(rule.min_p)))
    return logits


def _keep(logits: jax.Array, threshold: jax.Array) -> jax.Array:
    threshold = jax.lax.optimization_barrier(threshold)  # or XLA computes it anew for every token
    return jnp.where(logits >= threshold[:, None], logits, NEVER)


def most_likely(logits: jax.Array) -> jax.Array:
    """Returns the first of the most likely tokens, int32 [B]."""
    groups = _grouped(logits, NEVER)
    # XLA's argmax is 30 times slower on CPU than its max: look for the group by its maximum, then inside.
    group = jnp.argmax(jnp.max(groups, axis=-1), axis=-1)
    inside = jnp.argmax(_at(groups, group), axis=-1)
    return (group * GROUP + inside).astype(jnp.int32)


def kth_largest(logits: jax.Array, k: int) -> jax.Array:
    """Returns the k-th largest of each row, [B], exactly.

    The k largest lie in the k groups with the largest maxima, so only those are searched.
    """
    groups = _grouped(logits, NEVER)
    if k < groups.shape[1]:
        _, best = jax.lax.top_k(jnp.max(groups, axis=-1), k)
        groups = jnp.take_along_axis(groups, best[:, :, None], axis=1)
    # The smallest of them, not the last: XLA knows a slice of top_k only as a sort of everything, 90 times slower.
    return jnp.min(jax.lax.top_k(groups.reshape(len(logits), -1), k)[0], axis=-1)


def nucleus_threshold(logits: jax.Array, top_p: float) -> jax.Array:
    """Returns for each row the smallest logit, [B], above which there is less probability than `top_p`.

    Bisection on the bits of the probabilities, which order as their values: 31 sums instead of a sort, and exact.
    """
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
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


def invert(logits: jax.Array, uniform: jax.Array) -> jax.Array:
    """Returns the token of each row at which the cumulative softmax of logits [B, V] passes `uniform` [B]."""
    relative = logits - jnp.max(logits, axis=-1, keepdims=True)
    # Nothing, not little, for what is left out; and no denormal numbers, which slow a CPU down.
    levels = [jnp.where(relative > FAINT, jnp.exp(jnp.maximum(relative, FAINT)), 0.0)]
    while levels[-1].shape[-1] > GROUP:
        # Each sum is used twice, and XLA would rather compute it twice.
        levels[-1] = jax.lax.optimization_barrier(_grouped(levels[-1], 0.0))
        levels.append(jnp.sum(levels[-1], axis=-1))
    *groups_below, mass = levels
    # From the sums of the largest groups down to the tokens: each running sum is over GROUP numbers at most.
    *groups_below, mass = levels
    target = uniform * jnp.sum(mass, axis=-1)
    place, target = _passes(mass, target)
    for groups in reversed(groups_below):
        inside, target = _passes(_at(groups, place), target)
        place = place * GROUP + inside
    return place.astype(jnp.int32)


def _passes(mass: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns where the running sum of mass [B, X] first exceeds target [B], and what is left of the target there.

    Rounding may leave the target at or above the whole sum; then it is the last place that has any mass.
    """
    running = jnp.cumsum(mass, axis=-1)
    beyond = running > target[:, None]
    last = mass.shape[-1] - 1 - jnp.argmax((mass > 0)[:, ::-1], axis=-1)
    place = jnp.where(beyond[:, -1], jnp.argmax(beyond, axis=-1), last)
    return place, target - (_at(running, place) - _at(mass, place))


def _grouped(x: jax.Array, padding: float) -> jax.Array:
    """Returns [B, V] as [B, V / GROUP, GROUP], padded."""
    missing = -x.shape[-1] % GROUP
    if missing:
        x = jnp.pad(x, ((0, 0), (0, missing)), constant_values=padding)
    return x.reshape(len(x), -1, GROUP)


def _at(x: jax.Array, index: jax.Array) -> jax.Array:
    """Returns x[b, index[b]] for each b."""
    return jnp.take_along_axis(x, index.reshape(-1, *[1] * (x.ndim - 1)), axis=1)[:, 0]
