"""The stop rule on made rounds: those that collapse, those that do well, and noise."""

import dataclasses

import pytest

from tests.rounds import made

RUNS = 400


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
    steps = [made.verdict(before, now).collapse for before, now in zip(rounds, rounds[1:], strict=False)]
    assert sum(map(bool, steps)) <= 1
    [told] = made.verdict(*rounds).collapse
    assert told.endswith("against round 1")


def test_entropy_alone_can_show_it() -> None:
    first, then = made.outcomes(1), made.outcomes(2, easier=0.4, entropy=0.1)
    [told] = made.verdict(first, then).collapse
    assert told.startswith("entropy per token 0.10")
    assert "less than half of round 1's 0.2" in told
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


@pytest.mark.parametrize(("before", "at_most"), [(1, 0.035), (3, 0.05)])
def test_noise_alone_is_seldom_a_collapse(before: int, at_most: float) -> None:
    """The same model every time: a second round is compared once, a later one with the first and the previous."""
    rounds = [[made.outcomes(1000 * run + number) for number in range(before + 1)] for run in range(RUNS)]
    flagged = sum(bool(made.verdict(*each).collapse) for each in rounds) / RUNS
    print(f"flagged after {before} rounds: {flagged:.3f} of {RUNS}")
    assert flagged <= at_most


@pytest.mark.parametrize("problems", [50, 1000])
def test_noise_alone_in_a_round_that_does_well(problems: int) -> None:
    flagged = 0
    for run in range(RUNS // 2):
        first, then = (made.outcomes(9000 + 2 * run + number, problems=problems, k=8) for number in range(2))
        flagged += bool(made.verdict(first, then, k=8).collapse)
    assert flagged / (RUNS // 2) <= 0.05
