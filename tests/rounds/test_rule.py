"""The stop rule on made rounds: those that collapse, those that do well, and noise."""

import dataclasses
import functools
import itertools
import math

import pytest

from tests.rounds import made

RUNS = 600


def test_a_round_that_is_sharper_has_collapsed_though_it_solves_more() -> None:
    first, then = made.outcomes(1), made.outcomes(2, easier=0.6, sharper=3)
    found = made.verdict(first, then)
    assert sum(then.right) > sum(first.right)
    assert len(found.collapse) == 1
    assert found.collapse[0].startswith("distinct@16 -")
    assert found.collapse[0].endswith(") against round 1")
    assert found.no_gain is None
    assert found.stop == f"collapse: {found.collapse[0]}"


def test_a_slow_collapse_is_told_against_the_first_round() -> None:
    """Where no step is large enough to be told from the one before."""
    rounds = [made.outcomes(number, sharper=1 + 0.06 * number) for number in range(7)]
    steps = [made.verdict(before, now).collapse for before, now in itertools.pairwise(rounds)]
    assert sum(map(bool, steps)) <= 1
    [told] = made.verdict(*rounds).collapse
    assert told.endswith("against round 1")


def test_entropy_alone_can_show_it() -> None:
    first, then = made.outcomes(1), made.outcomes(2, easier=0.4, entropy=0.1)
    [told] = made.verdict(first, then).collapse
    assert told == "entropy per token 0.099, less than half of round 1's 0.251"
    assert made.verdict(first, made.outcomes(2, easier=0.4, entropy=0.2)).collapse == ()
    assert made.verdict(first, dataclasses.replace(then, nats=None)).collapse == ()


def test_a_round_that_does_well_goes_on() -> None:
    """More is solved, in as many ways."""
    rounds = [made.outcomes(number, easier=0.4 * number) for number in range(4)]
    for number in range(2, 5):
        assert made.verdict(*rounds[:number]).stop is None


def test_no_gain_is_told() -> None:
    first = made.outcomes(1)
    for then in (made.outcomes(2), made.outcomes(2, easier=-0.5)):
        found = made.verdict(first, then)
        assert found.no_gain is not None
        assert found.no_gain.startswith("pass@1 ")
        assert found.no_gain.endswith(" points against round 1")


def told(rate: float, of: float) -> bool:
    """Returns whether a rate is told, over RUNS, to be above another: by two standard errors."""
    return rate > of + 2 * math.sqrt(of * (1 - of) / RUNS)


@pytest.mark.parametrize(("before", "at_most", "problems"), [(1, 0.025, 100), (3, 0.05, 100)])
def test_noise_alone_is_seldom_a_collapse(before: int, at_most: float, problems: int) -> None:
    """The same model every time: a second round is compared once, a later one with the first and the previous."""
    draw = functools.partial(made.outcomes, problems=problems, k=8)
    rounds = ([draw(1000 * run + number) for number in range(before + 1)] for run in range(RUNS))
    flagged = sum(bool(made.verdict(*each, k=8).collapse) for each in rounds) / RUNS
    print(f"flagged after {before} rounds of {problems} problems: {flagged:.3f} of {RUNS}")
    assert not told(flagged, at_most)
    assert told(0.08, 0.05)  # so many runs could tell
