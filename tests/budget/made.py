"""Outcomes for the tests, made by a seed; and the plainest way to run a policy, to compare with."""

import random
from collections.abc import Sequence

from rft_jax.budget.decisions import Decisions
from rft_jax.budget.outcome import Outcome
from rft_jax.budget.policies import Local, Policy

Ledger = list[list[Outcome]]  # of each problem, the outcomes of its samples


def ledger(seed: int, problems: int = 30, k: int = 24) -> Ledger:
    """Returns outcomes of problems from never to always solved, with few or many ways to solve each."""
    draw = random.Random(seed)
    made = []
    for _ in range(problems):
        chance, ways, mean = draw.choice([0, 0, 0.05, 0.3, 0.7, 1]), draw.choice([1, 2, 5, 50]), draw.randint(20, 90)
        made.append([_outcome(draw, chance, ways, mean) for _ in range(k)])
    return made


def _outcome(draw: random.Random, chance: float, ways: int, mean: int) -> Outcome:
    right = draw.random() < chance
    valid = right and draw.random() < 0.9
    return Outcome(right, draw.randrange(ways) if valid else None, draw.randint(mean // 2, 2 * mean))


def run(policy: Policy, outcomes: Ledger, seed: int | None = None, ahead: int = 0) -> Decisions:
    """Runs a policy to its end.

    Args:
        policy: that decides.
        outcomes: of all samples.
        seed: by which the order of arrival is drawn, None: in the order in which they were asked for.
        ahead: so many samples of each problem are there before anything is asked for.
    """
    decisions = Decisions(policy, len(outcomes))
    draw = random.Random(seed)
    coming = [(problem, sample) for problem, samples in decisions.start() for sample in samples]
    first = [(problem, sample) for problem in range(len(outcomes)) for sample in range(ahead)]
    if seed is not None:
        draw.shuffle(first)
    for problem, sample in first:
        for more, samples in decisions.put(problem, sample, outcomes[problem][sample]):
            coming += [(more, number) for number in samples]
    while coming:
        assert ahead or not decisions.done
        problem, sample = coming.pop(0 if seed is None else draw.randrange(len(coming)))
        for more, samples in decisions.put(problem, sample, outcomes[problem][sample]):
            coming += [(more, number) for number in samples]
    return decisions


def by_prefix(policy: Local, outcomes: Sequence[Outcome]) -> int:
    """Returns how many samples a problem gets, from the definition alone: anew from each complete prefix."""
    samples = 0
    while True:
        seen = policy.start()
        for outcome in outcomes[:samples]:
            seen.add(outcome)
        if policy.wanted(seen) == samples:
            return samples
        samples += 1
