"""How often intervals hold the truth, and tests err, over the whole range of what evaluations are like.

    python -m pytest tests/evidence/test_coverage.py -m slow -s -n 0

prints the tables of BUILD.md, "Evidence". 95 % is meant, and 93 to 97 % is what an interval is held to; where it cannot,
the test names the corner and what holds there. Simulated figures may miss a bound by three of their standard errors.
"""

import numpy as np
from scipy import stats

from rft_jax.evidence import score
from rft_jax.evidence.compare import differences
from rft_jax.evidence.intervals import shares
from tests.evidence.simulated import answers

PROBLEMS = (100, 400, 1319)
ACCURACIES = (0.02, 0.1, 0.5, 0.9, 0.98)
# Standard deviation over seeds of each model's true accuracy; of their difference it is 0, 1 and 2 points.
DEVIATIONS = (0.0, 0.007, 0.014)


def held(low, high, truth):
    return (low <= truth + 1e-12) & (truth <= high + 1e-12)


def compared(rng, runs, seeds, problems, accuracies, **how):
    """Returns how often the interval of the difference holds it, in percent."""
    found = []
    for first, second in answers(rng, runs, seeds, problems, accuracies, **how):
        _, low, high, p = differences(second.astype(float) - first)
        inside = held(low, high, accuracies[1] - accuracies[0])
        if accuracies[0] == accuracies[1]:
            assert ((p < 0.05) == ~inside).all()  # so tests err where intervals miss
        found.append(inside)
    return 100 * np.concatenate(found).mean()


def accurate(rng, runs, seeds, problems, accuracy, **how):
    """Returns how often the interval of an accuracy holds it, in percent."""
    found = [
        held(*shares(first.astype(float))[1:], accuracy)
        for first, _ in answers(rng, runs, seeds, problems, (accuracy, accuracy), **how)
    ]
    return 100 * np.concatenate(found).mean()


def error(runs):
    """Returns three standard errors of a coverage of 95 %, in percent."""
    return 300 * np.sqrt(0.95 * 0.05 / runs)


def exact_difference(problems, differing, part):
    """Returns the coverage for one seed by adding up all outcomes; the difference is `part` of what differs."""
    most = int(min(problems, problems * differing + 8 * np.sqrt(problems * differing) + 12))
    more, fewer = (each.ravel().astype(float) for each in np.meshgrid(np.arange(most + 1), np.arange(most + 1)))
    more, fewer = more[more + fewer <= problems], fewer[more + fewer <= problems]
    up, down = differing * (1 + part) / 2, differing * (1 - part) / 2
    counts = np.stack([more, fewer, problems - more - fewer], -1)
    chances = stats.multinomial.pmf(counts, problems, [up, down, 1 - up - down])
    low, high = score.tango(more, fewer, np.full_like(more, problems), score.NORMAL_95)
    return 100 * chances[held(low, high, up - down)].sum()
