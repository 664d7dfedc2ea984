"""What a comparison can show is what simulated comparisons show."""

import numpy as np
import pytest

from rft_jax.evidence import power
from rft_jax.evidence.compare import differences


def drawn(rng, runs, seeds, problems, difference, assumed):
    """Returns differences (runs, seeds, problems) of two models as the assumption has them.

    Of the problems that differ, a part does so on all seeds alike, and the rest anew for each seed.
    """
    lasting = rng.random((runs, 1, problems)) < assumed.lasting
    luck = rng.standard_normal((runs, seeds, 1)) * assumed.seeds / (1 - assumed.lasting) if seeds > 1 else 0
    differ = np.where(lasting, rng.random((runs, 1, problems)), rng.random((runs, seeds, problems))) < assumed.differing
    true = difference + np.where(lasting, 0, luck)
    side = np.where(lasting, rng.random((runs, 1, problems)), rng.random((runs, seeds, problems)))
    return np.where(differ, np.where(side < (1 + true / assumed.differing) / 2, 1.0, -1.0), 0.0)


@pytest.mark.parametrize(("problems", "seeds", "comparisons"), [(800, 1, 1), (800, 3, 1), (400, 10, 5), (1319, 3, 5)])
def test_the_smallest_difference_is_shown_in_four_of_five_runs(problems, seeds, comparisons):
    least = power.smallest(problems, seeds, comparisons, power.DEFAULT)
    values = drawn(np.random.default_rng(0), 300, seeds, problems, least, power.DEFAULT)
    shown = (differences(values)[3] < 0.05 / comparisons).mean()
    assert shown == pytest.approx(0.8, abs=3 * np.sqrt(0.8 * 0.2 / 300))


def test_more_problems_seeds_and_agreement_show_smaller_differences():
    def least(problems=800, seeds=5, comparisons=5, differing=0.2, deviation=0.015):
        return power.smallest(problems, seeds, comparisons, power.Assumption(differing, 1 / 3, deviation))

    print("\nsmallest differences that can be shown, points, with 1, 3, 5 and 10 seeds; 1 and 5 comparisons")
    for problems in (100, 200, 800, 1319):
        found = [least(problems, seeds, comparisons) for seeds in (1, 3, 5, 10) for comparisons in (1, 5)]
        print(f"{problems:>5}", *("    –" if each is None else f"{100 * each:5.1f}" for each in found))
    assert least(problems=200) > least() > least(problems=1319)
    assert least(seeds=3) > least() > least(seeds=10)
    assert least(comparisons=10) > least() > least(comparisons=1)
    assert least(deviation=0.02) > least() > least(deviation=0)


def test_what_cannot_be_shown_has_no_smallest_difference():
    assert power.smallest(20, 1, 1, power.DEFAULT) is None
    assert power.smallest(1, 1, 1, power.DEFAULT) is None


@pytest.mark.parametrize("seeds", [1, 3])
def test_models_that_agree_on_every_problem_show_no_difference(seeds):
    found = power.observed([np.zeros((seeds, 50))])
    assert found.differing == 0
    assert power.smallest(600, seeds, 4, found) is None


def test_an_assumption_is_found_again_in_what_is_finished():
    assumed = power.Assumption(0.1, 0.4, 0.03)
    values = drawn(np.random.default_rng(1), 40, 10, 2000, 0.0, assumed)
    found = power.observed(list(values))
    assert found.differing == pytest.approx(0.1, rel=0.02)
    assert found.lasting == pytest.approx(0.4, abs=0.02)
    assert found.seeds == pytest.approx(0.03, rel=0.1)
    one = power.observed([values[0, :1]])  # a single seed tells of the problems alone
    assert (one.lasting, one.seeds) == (power.DEFAULT.lasting, power.DEFAULT.seeds)
