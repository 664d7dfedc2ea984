"""What every policy promises, and what each one says of itself."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rft_jax.budget.outcome import Outcome
from rft_jax.budget.parse import parse
from rft_jax.budget.policies import Local
from rft_jax.budget.progress import Progress
from rft_jax.errors import UserError
from tests.budget.made import by_prefix, ledger, run

K = 24
LOCAL = ["uniform", "uniform=5", "distinct=3", "distinct=1", "correct=4", "proportional", "proportional=5:first=2",
         "boundary", "boundary=9:first=3"]  # fmt: skip
ALL = [*LOCAL, "tokens=9000", "tokens=20000:first=1", "tokens=31000:first=5", "tokens=1e9"]
WRONG, PLAIN = Outcome(False, None, 10), Outcome(True, None, 10)


def new(key: int) -> Outcome:
    return Outcome(True, key, 10)


@given(st.integers(0, 10**6), st.integers(0, K))
def test_progress_counts_what_it_says(seed: int, first: int) -> None:
    for of_problem in ledger(seed, problems=4, k=K):
        seen = Progress(first)
        for outcome in of_problem:
            seen.add(outcome)
        keys = Counter(each.key for each in of_problem if each.key is not None)
        assert seen == Progress(
            first=first,
            samples=K,
            right=sum(each.right for each in of_problem),
            right_at_first=sum(each.right for each in of_problem[:first]),
            tokens=sum(each.tokens for each in of_problem),
            keys=dict(keys),
            singletons=list(keys.values()).count(1),
        )
        assert seen.distinct == len(keys)


@pytest.mark.parametrize("text", ALL)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.integers(0, 10**6), ahead=st.integers(0, K))
def test_the_order_of_arrival_does_not_matter(text: str, seed: int, order: int, ahead: int) -> None:
    outcomes = ledger(seed, k=K)
    policy = parse(text, K)
    expected = run(policy, outcomes)
    assert expected.done
    shuffled = run(policy, outcomes, order)
    assert (list(shuffled.wanted), shuffled.rounds) == (list(expected.wanted), expected.rounds)
    # What is there before, of a run that was killed or of a larger budget, changes nothing either.
    continued = run(policy, outcomes, order, ahead)
    assert continued.done
    assert (list(continued.wanted), continued.rounds) == (list(expected.wanted), expected.rounds)


@pytest.mark.parametrize("text", ALL)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_sampled_is_a_part_of_the_uniform_set(text: str, seed: int) -> None:
    outcomes = ledger(seed, k=K)
    policy = parse(text, K)
    wanted = run(policy, outcomes).wanted
    assert all(policy.always <= samples <= K for samples in wanted)
    if isinstance(policy, Local):
        assert list(wanted) == [by_prefix(policy, of_problem) for of_problem in outcomes]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), other=st.integers(0, 10**6), text=st.sampled_from(LOCAL))
def test_a_problem_is_decided_alone(seed: int, other: int, text: str) -> None:
    policy = parse(text, K)
    assert run(policy, ledger(seed) + ledger(other)).wanted[:30] == run(policy, ledger(seed)).wanted


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_distinct_stops_at_the_first_sample_with_which_all_are_there(seed: int, goal: int) -> None:
    outcomes = ledger(seed)
    for samples, of_problem in zip(run(parse(f"distinct={goal}", K), outcomes).wanted, outcomes, strict=True):
        found = [len({each.key for each in of_problem[:end]} - {None}) for end in range(K + 1)]
        assert samples == (found.index(goal) if goal in found else K)


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_correct_stops_at_the_first_sample_with_which_all_are_there(seed: int, goal: int) -> None:
    outcomes = ledger(seed)
    for samples, of_problem in zip(run(parse(f"correct={goal}", K), outcomes).wanted, outcomes, strict=True):
        found = [sum(each.right for each in of_problem[:end]) for end in range(K + 1)]
        assert samples == (found.index(goal) if goal in found else K)


def test_nothing_is_asked_for_that_may_turn_out_not_to_be_needed() -> None:
    """Samples between the last known one and the number wanted are drawn side by side."""
    policy = parse("distinct=3", K)
    assert isinstance(policy, Local)
    seen = policy.start()
    assert policy.wanted(seen) == 3
    for outcome, wanted in [(new(1), 3), (new(1), 4), (WRONG, 5), (new(2), 5), (PLAIN, 6), (new(3), 6)]:
        seen.add(outcome)
        assert policy.wanted(seen) == wanted


@pytest.mark.parametrize(
    ("text", "outcomes", "samples"),
    [
        # A first pass of 4: all right, so 1 right path is wanted, which is there.
        ("proportional=8:first=4", [PLAIN] * K, 4),
        # 3 of 4 right: ceil(8 / 4) = 2.
        ("proportional=8:first=4", [PLAIN] * 3 + [WRONG] * 21, 4),
        # 1 of 4 right: ceil(8 * 3 / 4) = 6, so 5 more.
        ("proportional=8:first=4", [WRONG] * 3 + [PLAIN] * 21, 9),
        # Never right: 8, which do not come.
        ("proportional=8:first=4", [WRONG] * K, K),
        ("proportional=8:first=4", [WRONG] * 4 + [PLAIN] * 20, 12),
        # 4 + 20 * 9 / 25, 4 + 20 * 21 / 25, 4 + 20 * 25 / 25, rounded up.
        ("boundary:first=4", [WRONG] * K, 12),
        ("boundary:first=4", [PLAIN] * K, 12),
        ("boundary:first=4", [PLAIN, WRONG, WRONG, WRONG] + [PLAIN] * 20, 21),
        ("boundary:first=4", [PLAIN, WRONG] * 12, 24),
        ("boundary=8:first=4", [PLAIN, WRONG] * 12, 8),
        ("correct=2", [WRONG, PLAIN, PLAIN, PLAIN] + [WRONG] * 20, 3),
        ("distinct=2", [new(1), new(1), PLAIN, new(2)] + [WRONG] * 20, 4),
        ("uniform", [WRONG] * K, K),
    ],
)
def test_by_hand(text: str, outcomes: list[Outcome], samples: int) -> None:
    assert run(parse(text, K), [outcomes]).wanted == [samples]


def test_stopping_by_what_was_found_is_biased_beyond_what_is_always_sampled() -> None:
    """Over all outcomes of 6 samples at p = 1/2: of the first `always` samples the mean share is 1/2, of all not."""
    for text in ("correct=1", "distinct=2", "proportional=2:first=2"):
        policy = parse(text, 6)
        shares, unbiased = [], []
        for bits in range(2**6):
            outcomes = [new(place) if bits >> place & 1 else WRONG for place in range(6)]
            samples = run(policy, [outcomes]).wanted[0]
            shares.append(sum(each.right for each in outcomes[:samples]) / samples)
            unbiased.append(sum(each.right for each in outcomes[: policy.always]) / policy.always)
        assert math.fsum(unbiased) / 64 == 0.5
        assert abs(math.fsum(shares) / 64 - 0.5) > 0.05


@pytest.mark.parametrize("text", ALL)
def test_the_text_of_a_policy_means_the_policy(text: str) -> None:
    policy = parse(text, K)
    assert parse(policy.text, K) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distict=4", r"budget 'distict=4' \(did you mean 'distinct'\?\): give uniform\[=N\], distinct=N, "),
        ("", "budget '': give uniform"),
        ("distinct", "budget 'distinct': give distinct=N, with positive whole numbers"),
        ("tokens", r"give tokens=T\[:first=K0\], with positive whole numbers"),
        *((f"distinct={number}", "give distinct=N, with pos") for number in ("", "0", "-1", "1.5", "nan", "inf", "²")),
        *((f"tokens={number}", r"give tokens=T\[") for number in ("1e999999999", "1" * 40, " 5", "0x10", "1e-3")),
        ("distinct=4:first=2", "give distinct=N, with"),
        ("boundary:second=2", r"give boundary\[=N\]\[:first=K0\]"),
        ("boundary:first=", r"give boundary\[=N\]\[:first=K0\]"),
        ("boundary:first=2:first=3", r"give boundary\[=N\]\[:first=K0\]"),
        ("boundary:first=25", "k = 24 is below the first pass of 25 samples: .* as in boundary:first=24"),
        ("boundary=3", "it is below the first pass of 4 samples"),
        ("distinct=25", "there are at most k = 24 samples of a problem: give at most distinct=24"),
        ("tokens=399", "of 100 problems is more than so many tokens even if each is one token long: .*tokens=400"),
    ],
)
def test_what_is_no_policy_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        parse(text, K, 100)
    assert "\n" not in str(error.value)


def test_k_smaller_than_the_first_pass_that_nobody_asked_for() -> None:
    with pytest.raises(UserError, match=r"k = 3 is below the first pass of 4 samples: .* as in proportional:first=3"):
        parse("proportional", 3)
    assert parse("tokens=2e6", K) == parse("tokens=2000000", K)
