"""The rules that control for the paper's: as many paths, drawn; and one per list, chosen the other way round."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.select import rules
from rft_jax.select.criteria import criteria
from tests.select.selection import ks_of, path_lists, selected, shuffled


def chosen(paths: list[Path], rule: str, **settings: object) -> list[tuple[int, str, int]]:
    return [(path.problem, path.model, path.sample) for path in selected([[paths]], rules=rule, **settings).paths]


@settings(max_examples=30)
@given(path_lists(), st.integers(0, 3))
def test_as_many_right_paths_of_each_problem_as_the_paper_keeps(paths: list[Path], seed: int) -> None:
    right = set(chosen(paths, "none"))
    for k in (None, 2):
        some = [path for path in paths if k is None or path.sample < k]
        if not some:
            continue
        kept = Counter(problem for problem, *_ in chosen(some, "paper"))
        for rule in (f"random:{seed}", "nearest"):
            found = chosen(some, rule)
            assert Counter(problem for problem, *_ in found) == kept
            assert len(set(found)) == len(found)
            assert set(found) <= right


@settings(max_examples=30)
@given(path_lists(), st.integers(0, 99), st.sampled_from(["random:1", "nearest"]))
def test_files_and_their_order_do_not_matter(paths: list[Path], seed: int, rule: str) -> None:
    assert selected([shuffled(paths, seed, 3)], rules=rule).rows == selected([[paths]], rules=rule).rows


@settings(max_examples=30)
@given(path_lists(), st.sampled_from(["random:1", "nearest"]))
def test_the_set_of_a_prefix_is_the_selection_from_it(paths: list[Path], rule: str) -> None:
    some = [path for path in paths if path.sample < 3]
    if some and ks_of(paths, 3):
        files = selected([[paths]], rules=rule, ks=[3]).files
        assert files["out.k3.jsonl"] == selected([[some]], rules=rule).files["out.jsonl"]


def test_the_draw_does_not_depend_on_the_processes_or_on_other_problems() -> None:
    paths = [Path(problem, sample, "m", text(problem, sample % 4)) for problem in range(4) for sample in range(30)]
    assert chosen(paths, "random:2", workers=2) == chosen(paths, "random:2")
    alone = [path for path in paths if path.problem == 3]
    assert chosen(alone, "random:2") == [key for key in chosen(paths, "random:2") if key[0] == 3]


def text(problem: int, way: int) -> str:
    return f"<<{way}+1={way + 1}>>\n#### {42 + problem}"


def test_every_set_of_paths_is_drawn_as_often() -> None:
    """Chi-square: 6 ways to draw 2 of 4 paths, over 1,500 problems with two seeds each."""
    problems = [Problem(f"{number}?", f"#### {42 + number}") for number in range(1500)]
    paths = [Path(number, sample, "m", text(number, sample % 2)) for number in range(1500) for sample in range(4)]
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in (0, 1):
        of_problem: dict[int, list[int]] = {number: [] for number in range(1500)}
        for number, _, sample in chosen(paths, f"random:{seed}", problems=problems):
            of_problem[number].append(sample)
        counts.update(map(tuple, of_problem.values()))
    assert set(counts) == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    expected = 3000 / 6
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    assert statistic < 15.09  # the 99 % point of chi-square with 5 degrees of freedom


def test_seeds_draw_independently() -> None:
    paths = [Path(0, sample, "m", text(0, sample % 20)) for sample in range(400)]
    sets = [{sample for *_, sample in chosen(paths, f"random:{seed}")} for seed in range(40)]
    common = [len(a & b) for place, a in enumerate(sets) for b in sets[:place]]
    # 20 of 400 and 20 of 400 share 1 on average (hypergeometric), with a variance of about 0.905; 780 pairs.
    assert abs(sum(common) / len(common) - 1) < 4 * math.sqrt(0.905 / len(common))


def test_the_seed_is_in_what_decides() -> None:
    assert selected([[[Path(0, 0, "m", text(0, 1))]]], rules="random:3").statistics["rules"] == "random:3"
    for rule, told in {"random": "random:0", "random:0": "random:0", "random:07": "random:7"}.items():
        assert criteria("gsm8k", grader=None, audits=None, rules=rule).rules == told
    assert rules.load("random").name == "random:0"


@pytest.mark.parametrize("rule", ["random:", "random:x", "random:-1", "random:1.5", "random:²"])
def test_a_seed_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(UserError, match=r"give random:SEED with a whole number, as in random:3"):
        rules.load(rule)


def test_a_seed_of_another_rule_is_refused() -> None:
    with pytest.raises(UserError, match=r"no rule is called 'paper:3'"):
        rules.load("paper:3")


def test_what_is_kept_may_repeat_a_list_by_some_rules() -> None:
    assert {name for name in rules.SHIPPED if rules.repeats_lists(rules.SHIPPED[name].name)} == {"none", "random"}
