"""The optimizer is torch's AdamW with transformers' schedules; short moments are right on average."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.train import optimizer

RATE = 0.1


def adamw(moments=jnp.float32, weight_decay=0.0):
    return optimizer.adamw(
        beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=weight_decay, clip=1.0, moments=jnp.dtype(moments)
    )


def run(transform, parameters, gradients):
    """Applies one update for each gradient along the leading axis."""

    def step(carry, gradient):
        with jax.numpy_dtype_promotion("standard"):
            updates, state = transform.update(gradient, carry[1], carry[0])
        return (jax.tree.map(lambda x, update: x - RATE * update, carry[0], updates), state), None

    return jax.jit(lambda: jax.lax.scan(step, (parameters, transform.init(parameters)), gradients)[0])()


@pytest.mark.parametrize("decay", ["cosine", "linear"])
@pytest.mark.parametrize("steps", [1, 10, 176])
def test_schedules_are_those_of_transformers(decay, steps):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    rate = optimizer.schedule(peak=2e-5, warmup=0.03, decay=decay, steps=steps)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    make = {
        "cosine": transformers.get_cosine_schedule_with_warmup,
        "linear": transformers.get_linear_schedule_with_warmup,
    }
    schedule = make[decay](theirs, int(np.ceil(0.03 * steps)), steps)
    for step in range(steps):
        np.testing.assert_allclose(rate(step), schedule.get_last_lr()[0], rtol=1e-5, atol=1e-12)
        theirs.step()
        schedule.step()


def test_without_warm_up_the_first_rate_is_the_peak():
    rate = optimizer.schedule(peak=1.0, warmup=0.0, decay="linear", steps=4)
    assert [rate(step) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_updates_are_torchs(weight_decay):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    start = random.normal(size=(3, 4)).astype(np.float32)
    gradients = [scale * random.normal(size=(3, 4)).astype(np.float32) for scale in (10, 0.1, 3, 0.01, 1)]
    ours, _ = run(adamw(weight_decay=weight_decay), {"x": jnp.asarray(start)}, {"x": jnp.stack(gradients)})
    theirs = torch.nn.Parameter(torch.tensor(start))
    torch_adamw = torch.optim.AdamW([theirs], lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
    for gradient in gradients:
        theirs.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_([theirs], 1.0)
        torch_adamw.step()
    np.testing.assert_allclose(ours["x"], theirs.detach().numpy(), rtol=2e-5, atol=2e-6)


def test_rounding_at_random_is_right_on_average():
    x = jnp.asarray([1.0, 1.001, -1.001, 3.14159, 1e-30, 0.0])
    keys = jax.random.split(jax.random.key(0), 4000)
    values = jax.vmap(lambda key: optimizer.round_at_random(key, x, jnp.bfloat16).astype(jnp.float32))(keys)
    values = np.asarray(values)
    np.testing.assert_allclose(values.mean(axis=0, dtype=np.float64), x, rtol=3e-4)
    assert (values[:, 0] == 1).all()  # what bf16 can hold stays
    assert [len(np.unique(values[:, i])) for i in range(6)] == [1, 2, 2, 2, 2, 1]
    with pytest.raises(ValueError, match="bfloat16"):
        optimizer.round_at_random(jax.random.key(0), x, jnp.float16)


def test_short_moments_follow_where_plain_rounding_would_stand_still():
    random = np.random.default_rng(0)
    parameters = {"x": jnp.zeros(2000)}
    # Gradients grow from 0.2 to 0.3: the second moment must more than double, a thousandth at a time.
    sizes = np.repeat([0.2, 0.3], 400)
    signs = random.choice([-1, 1], (len(sizes), 2000))
    gradients = {"x": jnp.asarray(sizes[:, None] / np.sqrt(2000) * signs, jnp.float32)}
    _, exact = run(adamw(), parameters, gradients)
    _, short = run(adamw(jnp.bfloat16), parameters, gradients)
    nu, short_nu = exact[1].nu["x"], short[1].nu["x"]
    assert short_nu.dtype == short[1].mu["x"].dtype == jnp.bfloat16
    np.testing.assert_allclose(short_nu.astype(jnp.float32).mean(), nu.mean(), rtol=0.01)

    nearest = jnp.zeros(1, jnp.bfloat16)
    for size in sizes / np.sqrt(2000):
        nearest = (0.999 * nearest.astype(jnp.float32) + 0.001 * size**2).astype(jnp.bfloat16)
    assert abs(nearest[0].astype(jnp.float32) / nu.mean() - 1) > 0.1
