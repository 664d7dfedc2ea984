"""AdamW as the paper uses it: gradient clipping, linear warm-up, then cosine or linear decay to zero.

The learning rate is computed on the host and handed to each step. So runs of any length share one compiled step: SFT,
RFT and every ablation.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

Decay = Literal["cosine", "linear"]
Schedule = Callable[[int], float]


def schedule(*, peak: float, warmup: float, decay: Decay, steps: int) -> Schedule:
    """Returns the learning rate as a function of the step, from 0.

    As in the reference: the first step has rate 0, the peak is reached after `warmup` of all steps (rounded up).

    Args:
        peak: the highest rate.
        warmup: fraction of the steps in which the rate rises.
        decay: the form of the fall to 0 at `steps`.
        steps: of the whole run.
    """
    rising = -int(-warmup * steps // 1)
    falling = max(steps - rising, 1)

    def rate(step: int) -> float:
        if step < rising:
            return peak * step / rising
        left = max(steps - step, 0) / falling
        return peak * (left if decay == "linear" else 0.5 * (1 - math.cos(math.pi * left)))

    return rate


def adamw(
    *,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    clip: float,
    moments: jnp.dtype,
) -> optax.GradientTransformation:
    """Returns AdamW (arXiv 1711.05101) after clipping by the global norm; scale its updates by minus the learning rate.

    Args:
        beta1, beta2, epsilon: Adam's.
        weight_decay: decoupled, times the learning rate.
        clip: the largest global norm of a gradient.
        moments: the dtype in which both moments are stored; bfloat16 saves 4 bytes per parameter.
    """
    adam = optax.scale_by_adam(b1=beta1, b2=beta2, eps=epsilon)
    return optax.chain(
        optax.clip_by_global_norm(clip),
        adam if moments == jnp.float32 else _stored_as(moments, adam),
        optax.add_decayed_weights(weight_decay) if weight_decay else optax.identity(),
    )


def _stored_as(dtype: jnp.dtype, adam: optax.GradientTransformation) -> optax.GradientTransformation:
    """Computes Adam in fp32 and stores its moments in a shorter dtype, with stochastic rounding.

    Rounding to nearest fails: a second moment changes by a thousandth per step, less than half of bf16's last place, so
    it would never move. Stochastic rounding is right on average.
    """

    def shorten(state: optax.ScaleByAdamState) -> optax.ScaleByAdamState:
        keys = iter(jax.random.split(jax.random.key(state.count), 2 * len(jax.tree.leaves(state.mu))))
        return jax.tree.map(lambda x: x if x.ndim == 0 else round_at_random(next(keys), x, dtype), state)

    def init(parameters: Any) -> optax.ScaleByAdamState:
        state = adam.init(parameters)
        return jax.tree.map(lambda x: x if x.ndim == 0 else x.astype(dtype), state)

    def update(gradients: Any, state: optax.ScaleByAdamState, parameters: Any = None) -> tuple[Any, Any]:
        exact = jax.tree.map(lambda x: x if x.ndim == 0 else x.astype(jnp.float32), state)
        updates, exact = adam.update(gradients, exact, parameters)
        return updates, shorten(exact)

    return optax.GradientTransformation(init, update)


def round_at_random(key: jax.Array, x: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Returns fp32 x in bf16, rounded stochastically, so that its expected value is x.

    Raises:
        ValueError: another dtype than bfloat16.
    """
    if dtype != jnp.bfloat16:
        raise ValueError(f"only bfloat16 is the upper half of float32, got {dtype}")
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    noise = jax.random.bits(key, x.shape, jnp.uint16, out_sharding=jax.typeof(x).sharding).astype(jnp.uint32)
    upper = ((bits + noise) >> jnp.uint32(16)).astype(jnp.uint16)
    return jax.lax.bitcast_convert_type(upper, jnp.bfloat16)
