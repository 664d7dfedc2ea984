"""Pages last for the samples that are let in, whatever their lengths, and few tokens are read twice.

A discrete simulation of device and host stands for both. A call gives each live sample half a page; the youngest give
way where pages are short, as in `kv.flush`; the host plans a call while the one before is running.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import pytest

from rft_jax.sample import admission
from rft_jax.sample.lengths import Survival

PAGES = 31  # the most that a sample holds: 512 tokens, the last page of which is never kept
CALLS = 2 * (PAGES + 1)  # that a sample takes at most
POOL = 1000

# Takes samples int [live], the calls each has had, and how many are free; returns bool [live], which end in the call.
World = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        turns: how many it took.
        used: share of the pool in use at each turn.
        twice: share of the tokens that were read again.
    """

    turns: int
    used: np.ndarray
    twice: float


def simulate(world: World, samples: int, *, rows: int = 4096, pool: int = POOL) -> Outcome:
    """Samples until all have ended; fails if one is lost, if the oldest has to give way, or if there is no end."""
    survival = Survival(CALLS)
    sample, age, begun = (np.zeros(0, int) for _ in range(3))  # on the device; age now and at the start, in calls
    ordered: list[tuple[int, int]] = []  # age and sample, to start in the next call
    lost: list[tuple[int, int]] = []
    started = done = read_twice = made = 0
    used: list[float] = []
    while done < samples:
        # The host has seen the turn before this call, and knows what it ordered for it.
        new_ages = [age for age, _ in ordered]
        seen = age = np.concatenate([age, new_ages]).astype(int)
        begun = np.concatenate([begun, new_ages]).astype(int)  # what a resumed one has is read as a prompt
        sample = np.concatenate([sample, [number for _, number in ordered]]).astype(int)
        held = (age - begun) // 2
        assert np.sum(held) <= pool, "a sample went on without pages"
        ordered = []
        while lost and len(seen) < rows and admission.room(pool, seen, survival, waiting=1):
            ordered.append(lost.pop(0))
            seen = np.append(seen, ordered[-1][0])
            read_twice += ordered[-1][0]
        if not lost:
            waiting = min(samples - started, rows - len(seen))
            new = admission.room(pool, seen, survival, waiting=waiting)
            assert 0 <= new <= waiting
            ordered += [(0, started + number) for number in range(new)]
            started += new

        # The call.
        ends = world(sample, age, pool - int(np.sum(held))) | (age >= CALLS - 1)
        survival.record(age, age[ends])
        made += len(age)
        done += int(np.sum(ends))
        sample, age, begun = sample[~ends], age[~ends] + 1, begun[~ends]

        # The turn.
        held = (age - begun) // 2
        queue = np.argsort(-age, kind="stable")
        stays = np.zeros(len(age), bool)
        stays[queue] = np.cumsum(held[queue]) <= pool
        assert len(age) == 0 or stays[queue[0]]
        gave_way = [(int(age[row]), int(sample[row])) for row in np.flatnonzero(~stays)]
        lost = sorted([*lost, *gave_way], reverse=True)
        sample, age, begun = sample[stays], age[stays], begun[stays]
        used.append(np.sum(held[stays]) / pool)
        assert len(used) <= (CALLS + 3) * samples, "no end"
    assert started == samples
    assert not lost
    return Outcome(len(used), np.array(used), read_twice / made)


def with_lengths(calls: np.ndarray) -> World:
    return lambda sample, age, free: calls[sample] <= age + 1


def lognormal(mean: float, samples: int) -> np.ndarray:
    tokens = np.random.default_rng(0).lognormal(np.log(mean), 0.46, samples)
    return np.clip(np.ceil(tokens / 8), 1, CALLS).astype(int)


def heavy_tail(samples: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.where(rng.random(samples) < 1 / 50, CALLS, np.clip(rng.geometric(8 / 100, samples), 1, CALLS))


N = 4000
WORLDS = {
    "gold": (lognormal(120, N), 0.8),
    "twice": (lognormal(240, N // 2), 0.75),
    "limit": (np.full(N // 2, CALLS), 0.8),
    "tail": (heavy_tail(N), 0.75),
    "equal": (np.full(N, 20), 0.8),
    "short then long": (np.concatenate([lognormal(120, N // 2), lognormal(360, N // 2)]), 0.7),
}


@pytest.mark.parametrize("name", WORLDS)
def test_the_pool_is_used_and_little_is_done_twice(name):
    lengths, least = WORLDS[name]
    outcome = simulate(with_lengths(lengths), len(lengths))
    steady = outcome.used[2 * CALLS : -2 * CALLS]
    assert len(steady) > 2 * CALLS
    assert np.mean(steady) > least
    assert outcome.twice < 0.02


def nothing_ends_until_the_pool_is_full(sample, age, free):
    return np.full(len(age), free < len(age))


def short_ones_first(sample, age, free):
    return (sample < 500) & (age >= 2)


def only_the_youngest_end(sample, age, free):
    return age == np.min(age, initial=CALLS)


def only_the_oldest_ends(sample, age, free):
    return np.arange(len(age)) == np.argmax(age) if len(age) else np.zeros(0, bool)


ADVERSARIES = [
    nothing_ends_until_the_pool_is_full,
    short_ones_first,
    only_the_youngest_end,
    only_the_oldest_ends,
]


@pytest.mark.parametrize("world", ADVERSARIES, ids=lambda world: world.__name__)
@pytest.mark.parametrize("pool", [PAGES, POOL])
def test_ends_whatever_an_adversary_does(world, pool):
    simulate(world, 1000 if pool == POOL else 40, pool=pool)


def test_few_rows_are_all_in_use_where_pages_are_many():
    outcome = simulate(with_lengths(np.full(200, CALLS)), 200, rows=8, pool=8 * PAGES)
    # A row is idle for a call between two samples, as the host plans a call ahead.
    assert outcome.turns <= 200 / 8 * (CALLS + 1)


def test_all_start_at_once_where_all_fit():
    assert admission.room(POOL, np.zeros(0, int), Survival(2 * PAGES), waiting=POOL // PAGES) == POOL // PAGES


def test_one_starts_where_nothing_is_live():
    assert admission.room(PAGES, np.zeros(0, int), Survival(2 * PAGES), waiting=9) == 1
    assert admission.room(PAGES, np.zeros(0, int), Survival(2 * PAGES), waiting=0) == 0


def test_takes_under_2_ms_for_4096_rows_and_512_pages():
    rng = np.random.default_rng(0)
    survival = Survival(1024)
    lengths = rng.geometric(1 / 120, 4096)
    for age in range(1024):
        survival.record(np.full(np.sum(lengths > age), age), np.full(np.sum(lengths == age + 1), age))
    ages = np.minimum(rng.geometric(1 / 120, 4096), 1024)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        admission.room(300_000, ages, survival, waiting=4096)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2e-3
