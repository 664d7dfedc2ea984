"""What is learned of the lengths of samples, from those that ended and those that still run."""

import numpy as np

from rft_jax.sample.lengths import MEMORY, Survival


def learn(survival: Survival, lengths: np.ndarray, flushes: int) -> None:
    """Samples of so many calls that start together, for the first so many calls."""
    for age in range(flushes):
        live = lengths > age
        survival.record(np.full(np.sum(live), age), np.full(np.sum(lengths == age + 1), age))


def test_where_nothing_is_known_samples_go_on_to_the_limit():
    survival = Survival(7)
    assert survival.survives.tolist() == [1] * 8
    assert survival.known == 0


def test_short_samples_that_end_first_do_not_mislead():
    lengths = np.repeat([2, 8], 50)
    survival = Survival(7)
    learn(survival, lengths, 3)
    np.testing.assert_allclose(survival.survives, [1, 1, *[0.5] * 6], atol=0.01)
    assert survival.known == 3


def test_learns_the_share_that_reaches_an_age():
    rng = np.random.default_rng(0)
    survival = Survival(31)
    for _ in range(50):
        learn(survival, np.clip(rng.geometric(0.1, 100), 1, 32), 32)
    np.testing.assert_allclose(survival.survives, 0.9 ** np.arange(32), atol=0.1)
    assert np.all(np.diff(survival.survives) <= 0)
    assert survival.survives[-1] > 0


def test_one_sample_that_ended_does_not_end_all():
    survival = Survival(3)
    learn(survival, np.array([1]), 1)
    assert survival.survives.tolist() == [1, 0.5, 0.5, 0.5]


def test_what_is_long_ago_fades():
    survival = Survival(9)
    for _ in range(100):
        learn(survival, np.full(MEMORY, 2), 2)
    assert survival.survives[2] < 0.02
    for _ in range(3):
        learn(survival, np.full(MEMORY, 10), 10)
    assert survival.survives[-1] > 0.8


def test_a_sample_with_all_its_pages_tells_nothing():
    survival = Survival(2)
    survival.record(np.array([2, 2]), np.array([2]))
    assert survival.survives.tolist() == [1, 1, 1]
