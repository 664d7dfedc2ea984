"""Results of models whose true accuracies are known."""

import numpy as np
from scipy import special

_CHUNK = 3_000_000  # answers at a time


def answers(rng, runs, seeds, problems, accuracies, *, deviation, own, shared=0.45, templates=None):
    """Returns (runs, seeds, problems) for each of two models: whether they solve problems, and in chunks of runs.

    Problems are hard or easy: there is a normal variable of the problem, which the models share, one of problem and
    model, and one of problem, model and seed; where their sum is below the model's quantile, the answer is right. So
    each model's accuracy on the population of problems and seeds is exactly as given.

    Args:
        rng: random numbers.
        runs: number of experiments.
        seeds, problems: of each.
        accuracies: of the two models.
        deviation: standard deviation over seeds of each model's true accuracy, as at an accuracy of 0.5; elsewhere it
            is less, as a binomial's is.
        own: share of the variance that is of problem and model, on all seeds: what two models differ in.
        shared: share that is of the problem alone.
        templates: number of templates; what is the problem's is then the template's.
    """
    left = runs
    while left:
        now = min(left, max(1, _CHUNK // (seeds * problems)))
        left -= now
        yield tuple(_answers(rng, now, seeds, problems, accuracies, deviation, own, shared, templates))


def _answers(rng, runs, seeds, problems, accuracies, deviation, own, shared, templates):
    def normal(rows, share):
        if templates is None or rows > 1:
            return rng.standard_normal((runs, rows, problems), np.float32) * np.float32(np.sqrt(share))
        drawn = rng.standard_normal((runs, rows, templates), np.float32) * np.float32(np.sqrt(share))
        return np.repeat(drawn, problems // templates, -1)

    common = normal(1, shared)
    for accuracy in accuracies:
        most = 0.95 * min(accuracy, 1 - accuracy)  # cut on both sides alike, the mean stays
        scale = deviation * np.sqrt(accuracy * (1 - accuracy) / 0.25)
        true = accuracy + np.clip(rng.standard_normal((runs, seeds, 1)) * scale, -most, most)
        lasting = common + normal(1, own)
        rest = rng.standard_normal((runs, seeds, problems), np.float32) * np.float32(np.sqrt(1 - shared - own))
        yield lasting + rest < special.ndtri(true).astype(np.float32)
