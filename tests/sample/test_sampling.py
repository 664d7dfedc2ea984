"""Tokens are drawn from the distribution that the sampling parameters describe."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from rft_jax.errors import UserError
from rft_jax.sample import sampling
from rft_jax.sample.sampling import SamplingParameters

PAPER = SamplingParameters(0.7, top_k=50)
PARAMETERS = [
    SamplingParameters(1.0),
    SamplingParameters(0.7),
    PAPER,
    SamplingParameters(0.7, top_k=1),
    SamplingParameters(1.3, top_p=0.8),
    SamplingParameters(1.0, top_p=0.05),
    SamplingParameters(0.9, min_p=0.1),
    SamplingParameters(0.7, top_k=50, top_p=0.9, min_p=0.02),
]


def random_logits(rows, vocabulary, seed=0, scale=3.0):
    return (scale * np.random.default_rng(seed).standard_normal((rows, vocabulary))).astype(np.float32)


def processed(logits, parameters):
    """Returns what transformers' own processors make of logits."""
    torch = pytest.importorskip("torch", reason="the oracle is transformers with torch: install the extra `torch`")
    from transformers.generation import logits_process as theirs

    steps = [theirs.TemperatureLogitsWarper(parameters.temperature)] if parameters.temperature != 1 else []
    steps += [theirs.TopKLogitsWarper(parameters.top_k)] if parameters.top_k is not None else []
    steps += [theirs.TopPLogitsWarper(parameters.top_p)] if parameters.top_p is not None else []
    steps += [theirs.MinPLogitsWarper(parameters.min_p)] if parameters.min_p is not None else []
    scores = torch.tensor(logits)
    for step in steps:
        scores = step(None, scores)
    return scores.numpy()


def kept(logits, parameters):
    least = jax.jit(sampling.threshold, static_argnums=1)(logits, parameters)
    return logits >= np.asarray(least)[:, None]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
@pytest.mark.parametrize("vocabulary", [40, 1000, 32001])
def test_keeps_what_transformers_keeps(parameters, vocabulary):
    logits = random_logits(8, vocabulary)
    np.testing.assert_array_equal(kept(logits, parameters), np.isfinite(processed(logits, parameters)))


def test_equally_likely_tokens_stay_together():
    logits = np.array([[1.0, 3.0, 2.0, 2.0, 2.0, 0.0]], np.float32)
    assert kept(logits, SamplingParameters(1.0, top_k=2))[0].tolist() == [False, True, True, True, True, False]


@pytest.mark.parametrize("vocabulary", [5, 64, 65, 5000, 300_000])
@pytest.mark.parametrize("k", [1, 3, 64])
def test_kth_largest(vocabulary, k):
    logits = random_logits(4, vocabulary)
    k = min(k, vocabulary)
    np.testing.assert_array_equal(sampling.kth_largest(jnp.asarray(logits), k), np.sort(logits, axis=1)[:, -k])


@pytest.mark.parametrize("vocabulary", [1, 5, 63, 64, 65, 5000, 32001, 300_000])
def test_most_likely_is_the_first_of_the_largest(vocabulary):
    logits = np.round(random_logits(16, vocabulary), 1)  # many equals
    tokens = sampling.sample_tokens(jnp.asarray(logits), jnp.zeros(16), SamplingParameters(0.0))
    np.testing.assert_array_equal(tokens, np.argmax(logits, axis=1))


@pytest.mark.parametrize("vocabulary", [1, 63, 64, 65, 4096, 4097, 32001])
@pytest.mark.parametrize("parameters", [SamplingParameters(1.0), SamplingParameters(1.0, top_k=3)], ids=str)
def test_inverts_the_cumulative_distribution(vocabulary, parameters):
    """Against a plain cumulative sum in double precision, at the ends of [0, 1) too."""
    uniform = np.array([0.0, 1e-7, 0.1, 0.5, 0.77, 0.999, 1 - 2**-23, 1 - 2**-24], np.float32)
    logits = np.tile(random_logits(1, vocabulary, seed=3), (len(uniform), 1))
    tokens = np.asarray(sampling.sample_tokens(jnp.asarray(logits), jnp.asarray(uniform), parameters))
    possible = kept(logits, parameters)[0]
    exact = logits[0].astype(np.float64)
    running = np.cumsum(np.where(possible, np.exp(exact - exact.max()), 0))
    running = np.concatenate([[0.0], running / running[-1]])
    assert np.all(possible[tokens])
    # The token's interval holds the number, up to rounding in single precision.
    assert np.all(running[tokens] <= uniform + 1e-6)
    assert np.all(running[tokens + 1] >= uniform - 1e-6)


@pytest.mark.parametrize(
    "parameters",
    [SamplingParameters(0.7), PAPER, SamplingParameters(1.3, top_p=0.8), SamplingParameters(0.9, min_p=0.1)],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_chi_square(parameters, seed):
    """60,000 draws against the exact softmax of what transformers keeps."""
    draws = 60_000
    logits = random_logits(1, 1500, seed=seed, scale=2.0)
    uniform = jax.random.uniform(jax.random.key(seed), (draws,))
    many = jax.jit(jax.vmap(lambda u: sampling.sample_tokens(jnp.asarray(logits), u[None], parameters)[0]))
    counts = np.bincount(np.asarray(many(uniform)), minlength=1500)
    scores = processed(logits, parameters)[0].astype(np.float64)
    expected = draws * scipy.special.softmax(scores)
    assert counts[expected == 0].sum() == 0
    # Rare tokens are counted together, as the test asks for at least five expected draws a cell.
    common = expected >= 5
    cells = np.append(counts[common], counts[~common].sum()), np.append(expected[common], expected[~common].sum())
    keep = cells[1] > 0
    assert scipy.stats.chisquare(cells[0][keep], cells[1][keep]).pvalue > 1e-3


@pytest.mark.parametrize(
    "arguments",
    [{"temperature": -0.1}, {"temperature": float("nan")}, {"temperature": 1.0, "top_k": 0},
     {"temperature": 1.0, "top_p": 0.0}, {"temperature": 1.0, "min_p": 1.5}],
    ids=str,
)  # fmt: skip
def test_refuses_what_is_no_rule(arguments):
    with pytest.raises(UserError):
        SamplingParameters(**arguments)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.3])
def test_log_probabilities_are_those_of_the_softmax(temperature):
    logits = random_logits(8, 1000, scale=20.0)
    logits[:, 3] = -np.inf
    tokens = np.argsort(logits, axis=-1)[np.arange(8), -1 - np.arange(8)].astype(np.int32)
    found = np.asarray(jax.jit(sampling.log_probabilities, static_argnums=2)(logits, tokens, temperature))
    for column, divisor in enumerate((temperature, 1.0)):
        expected = scipy.special.log_softmax(logits.astype(np.float64) / divisor, axis=-1)[np.arange(8), tokens]
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-5, atol=1e-5)
    assert np.all(found <= 0)


def test_at_temperature_0_a_token_is_certain():
    logits = random_logits(4, 50)
    tokens = np.argmax(logits, axis=-1).astype(np.int32)
    sampled, at_1 = np.asarray(sampling.log_probabilities(logits, tokens, 0.0)).T
    assert sampled.tolist() == [0] * 4
    assert np.all(at_1 < -0.01)


def test_tells_logits_that_nothing_can_be_sampled_from():
    logits = random_logits(6, 300)
    logits[1, 7] = np.nan
    logits[2] = np.nan
    logits[3] = -np.inf
    logits[4, 0] = np.inf
    logits[5, 1:] = -np.inf
    assert np.asarray(jax.jit(sampling.finite)(logits)).tolist() == [True, False, False, False, False, True]
