"""The policy with a total of tokens."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rft_jax.budget.decisions import Decisions
from rft_jax.budget.outcome import Outcome
from rft_jax.budget.parse import parse
from rft_jax.errors import UserError
from tests.budget.made import Ledger, ledger, run

K = 24


def tokens(outcomes: Ledger, counts: list[int] | tuple[int, ...]) -> int:
    return sum(sum(each.tokens for each in of[:end]) for of, end in zip(outcomes, counts, strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 1.0))
def test_the_total_is_kept_to_within_a_round(seed: int, share: float) -> None:
    outcomes = ledger(seed, problems=60)
    total = int(tokens(outcomes, [K] * 60) * share)
    decisions = run(parse(f"tokens={total}:first=2", K), outcomes)
    ends = [tokens(outcomes, plan) for plan in decisions.rounds]
    largest = max(after - before for before, after in itertools.pairwise(ends))
    assert abs(ends[-1] - total) <= largest
    assert abs(ends[-1] / total - 1) < 0.05


def test_a_round_is_planned_while_the_one_before_is_sampled() -> None:
    """One sample of a round is kept back: the next round is known nevertheless, the one after it is not."""
    outcomes = ledger(3)
    total = tokens(outcomes, [K] * 30) // 2
    decisions = Decisions(parse(f"tokens={total}", K), 30)
    expected = run(decisions.policy, outcomes).rounds
    assert len(expected) > 8
    assert len(decisions.rounds) == 2
    before = [0] * 30
    for number, plan in enumerate(expected):
        samples = [(problem, sample) for problem in range(30) for sample in range(before[problem], plan[problem])]
        if not samples:
            continue
        for problem, sample in samples[:-1]:
            decisions.put(problem, sample, outcomes[problem][sample])
        assert list(decisions.rounds) == list(expected[: number + 2])
        problem, sample = samples[-1]
        decisions.put(problem, sample, outcomes[problem][sample])
        before = plan
    assert decisions.done
    assert list(decisions.rounds) == list(expected)


def test_equal_chances_go_by_the_number_of_the_problem() -> None:
    same = [[Outcome(True, sample, 10) for sample in range(K)] for _ in range(5)]
    rounds = run(parse("tokens=360:first=2", K), same).rounds
    # A quarter of 36 - 10 samples is 6.5, so 7 more.
    assert rounds[:3] == [[1] * 5, [2] * 5, [4, 4, 3, 3, 3]]


def test_where_new_paths_come_there_go_the_tokens() -> None:
    always_new = [Outcome(True, sample, 10) for sample in range(K)]
    always_same = [Outcome(True, 0, 10)] * K
    never = [Outcome(False, None, 10)] * K
    wanted = run(parse("tokens=1200:first=4", K), [always_new, always_same, never] * 3).wanted
    assert list(wanted[0::3]) == [K] * 3
    assert all(4 < samples < K for samples in wanted[1::3])
    assert all(4 < samples < K for samples in wanted[2::3])


def test_of_equal_chances_the_cheaper_is_sampled_more() -> None:
    cheap, dear = [[Outcome(sample % 2 == 0, sample, cost) for sample in range(K)] for cost in (10, 40)]
    wanted = run(parse("tokens=500:first=4", K), [dear, cheap]).wanted
    assert wanted[1] > wanted[0] >= 4


def test_a_problem_that_is_never_solved_neither_starves_nor_gets_everything() -> None:
    """Nine of ten problems are never solved: they get more than a first pass, and less than by uniform sampling."""
    k = 100
    made = [ledger(seed, problems=40, k=k) for seed in range(3)]
    for outcomes in made:
        for of_problem in outcomes[4:]:
            of_problem[:] = [Outcome(False, None, each.tokens) for each in of_problem]
        outcomes[:4] = [[Outcome(True, sample % 60, 50) for sample in range(k)] for _ in range(4)]
        total = tokens(outcomes, [30] * 40)
        wanted = run(parse(f"tokens={total}:first=4", k), outcomes).wanted
        assert list(wanted[:4]) == [k] * 4
        assert all(4 < samples < k for samples in wanted[4:])
        assert tokens(outcomes[4:], wanted[4:]) < tokens(outcomes[4:], [30] * 36)


def test_everything_that_there_is_when_the_total_is_larger() -> None:
    outcomes = ledger(1)
    assert list(run(parse("tokens=1e9", K), outcomes).wanted) == [K] * 30


def test_a_first_pass_that_takes_more_than_the_total_is_all_there_is() -> None:
    outcomes = ledger(1)
    decisions = run(parse("tokens=200", K), outcomes)
    assert list(decisions.wanted) == [4] * 30
    with pytest.raises(UserError, match="the first pass of 60 problems is more than so many tokens"):
        Decisions(parse("tokens=200", K), 60)
