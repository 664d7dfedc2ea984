"""The figures against their plain definitions, exact probabilities, and how often their intervals hold the truth."""

import itertools
import math
import random
from pathlib import Path as File

import numpy as np
import pytest

from rft_jax.budget.ledger import Ledger
from rft_jax.evidence.compare import compare
from rft_jax.evidence.intervals import pass_at_k, share
from rft_jax.rounds.check import check
from rft_jax.rounds.figures import NAMES, PASS_K, TOKENS, changes, figures
from rft_jax.rounds.outcomes import Outcomes
from tests.rounds import made

K = 6
RUNS = 400


def drawn(seed: int, problems: int = 40) -> list[list[int]]:
    """Returns for each problem and sample the way in which it is right, or 0."""
    draw = random.Random(seed)
    return [
        [draw.randint(1, draw.choice([1, 3])) if draw.random() < chance else 0 for _ in range(K)]
        for chance in (draw.choice([0, 0.2, 0.6, 1]) for _ in range(problems))
    ]


def plain(ways: list[list[int]]) -> dict[str, float]:
    """Returns the means by their definitions, one sample after the other."""
    count, tokens = len(ways), [4 + way for samples in ways for way in samples]
    return {
        "pass@1": sum(way > 0 for samples in ways for way in samples) / (count * K),
        "pass@k": sum(any(samples) for samples in ways) / count,
        "distinct@k": sum(len(set(samples) - {0}) for samples in ways) / count,
        "all_right": sum(all(samples) for samples in ways) / count,
        "none_right": sum(not any(samples) for samples in ways) / count,
        "tokens_per_path": sum(tokens) / (count * K),
        "entropy_per_token": sum(
            (4 + way) * (0.5 + 0.25 * way) for samples in ways for way in samples
        ) / sum(tokens),
    }  # fmt: skip


def test_figures_and_changes_are_what_they_say(tmp_path: File) -> None:
    one, other = drawn(1), drawn(2)
    records = []
    for name, ways in (("one", one), ("other", other)):
        pattern = made.write(tmp_path / name, ways, model=name, logprobs=True)
        problems = str(tmp_path / name / "problems.jsonl")
        previous = str(tmp_path / "one.json") if records else None
        record, _ = check(problems, [pattern], task="gsm8k", previous=previous)
        record.write(tmp_path / f"{name}.json")
        records.append(record)
    for record, ways in zip(records, (one, other), strict=True):
        shown = record.rounds[-1].figures
        assert set(shown) == set(NAMES)
        assert {name: each.mean for name, each in shown.items()} == pytest.approx(plain(ways))
        assert all(each.low <= each.mean <= each.high for each in shown.values())
    since = records[1].rounds[-1].since_previous
    assert since == records[1].rounds[-1].since_first
    expected = {name: plain(other)[name] - plain(one)[name] for name in NAMES}
    assert {name: each.mean for name, each in since.items()} == pytest.approx(expected)


def test_intervals_are_those_of_the_evidence(tmp_path: File) -> None:
    """Those that the report gives accuracies, and their differences."""
    one, other = made.outcomes(1), made.outcomes(2, easier=0.4)
    solved = [np.array(each.right) > 0 for each in (one, other)]
    assert figures(other, 16)[PASS_K] == share(solved[1].astype(float))
    assert changes(one, other, 16)[PASS_K] == compare(*solved).difference
    assert figures(one, 16)["pass@1"] == share(np.array(one.right) / 16)
    assert figures(one, 16)["pass@1"].mean == np.mean([pass_at_k(16, right, 1) for right in one.right])


def test_the_ledger_counts_distinct_right_paths() -> None:
    """Where the numbers of keys come in any order, and a right path may have none."""
    ledger = Ledger(
        right=np.array([[True, True, True, False], [False] * 4, [True] * 4]),
        keys=np.array([[1, 0, -1, -1], [-1] * 4, [0, 0, 0, 0]], np.int32),
        tokens=np.full((3, 4), 5),
        model="m",
        grader="g",
    )
    assert Outcomes.of(ledger, None) == Outcomes([3, 0, 4], [2, 0, 1], [20, 20, 20], None)


def test_surprise_is_an_unbiased_estimate_of_entropy() -> None:
    """Over all paths of a model of two tokens that may end after each, weighted by their exact chances."""
    start, after, end = (0.7, 0.3), ((0.9, 0.1), (0.4, 0.6)), (0.25, 0.5)

    def entropy(chances: tuple[float, ...]) -> float:
        return -sum(chance * math.log(chance) for chance in chances)

    # Each path: its tokens' chances, and the entropies of the distributions that they were drawn from.
    surprise = conditional = total = 0.0
    for first, ends, second in itertools.product((0, 1), (True, False), (0, 1)):
        stops = end[first] if ends else 1 - end[first]
        chances = [start[first], stops] + ([] if ends else [after[first][second]])
        if ends and second:
            continue  # the same path
        chance = math.prod(chances)
        of = [entropy(start), entropy((end[first], 1 - end[first]))] + ([] if ends else [entropy(after[first])])
        total += chance
        surprise += chance * -sum(map(math.log, chances))
        conditional += chance * sum(of)
    assert total == pytest.approx(1)
    assert surprise == pytest.approx(conditional)


def test_intervals_hold_the_truth() -> None:
    """Of problems drawn anew, with the samples; the world of `made` with many problems is the truth."""
    whole = made.outcomes(0, problems=20_000)
    columns = [np.array(values) for values in (whole.right, whole.distinct, whole.tokens, whole.nats)]
    figures_of_all = figures(whole, 16)
    draw = np.random.default_rng(5)
    held = dict.fromkeys(NAMES, 0)
    for _ in range(RUNS):
        chosen = draw.integers(0, 20_000, 200)
        for name, found in figures(Outcomes(*(column[chosen].tolist() for column in columns)), 16).items():
            held[name] += found.low <= figures_of_all[name].mean <= found.high
    print(held)
    assert all(0.92 < count / RUNS < 0.98 for count in held.values())


def test_a_change_is_told_more_closely_than_by_two_rounds_apart() -> None:
    one, other = made.outcomes(1), made.outcomes(2)
    for name in NAMES:
        changed = changes(one, other, 16)[name]
        apart = [figures(each, 16)[name] for each in (one, other)]
        # Tokens and surprise are drawn for each round alone, so there is nothing in common.
        slack = 1.05 if name in (TOKENS, "entropy_per_token") else 0.85
        assert changed.high - changed.low < slack * math.hypot(*(each.high - each.low for each in apart)), name


def test_nothing_has_changed_where_all_is_the_same() -> None:
    same = made.outcomes(1)
    for name, change in changes(same, same, 16).items():
        assert change.mean == 0, name
        assert change.low <= 0 <= change.high, name
