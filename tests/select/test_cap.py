"""At most so many paths of a problem in a set: the first that the rule chooses."""

import json
from collections import Counter
from pathlib import Path as File

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.records.path import Path
from rft_jax.select import parts, rules
from rft_jax.select.part import Part
from tests.select.in_parts import in_parts, job, whole, write_data
from tests.select.selection import PROBLEMS, path_lists, selected, shuffled
from tests.select.test_criteria import SHORTEST

RULES = ["paper", "nearest", "random:1", "none", "reference"]


@settings(max_examples=30)
@given(path_lists(), st.integers(1, 4), st.sampled_from(RULES))
def test_a_part_of_what_is_chosen_without_a_cap(paths: list[Path], cap: int, rule: str) -> None:
    whole, capped = (selected([[paths]], rules=rule, cap=most).rows for most in (None, cap))
    bodies: list[list[str]] = []
    for rows in (whole, capped):
        bodies.append([json.dumps(row) for row in rows])
    kept = iter(bodies[0])
    assert all(row in kept for row in bodies[1])  # in order
    if rule != "reference":  # whose rows do not name their problem
        counts, all_counts = (Counter(row["problem"] for row in rows if "model" in row) for rows in (capped, whole))
        assert counts == {problem: min(cap, count) for problem, count in all_counts.items()}


def ways(count: int, problem: int = 0) -> list[Path]:
    return [Path(problem, sample, "m", f"<<{sample}+1={sample + 1}>>\n#### {42 + problem}") for sample in range(count)]


@pytest.mark.parametrize("rule", ["paper", "nearest", "none", "reference"])
def test_the_first_that_the_rule_chooses(rule: str) -> None:
    rows = selected([[ways(6)]], rules=rule, cap=2, problems=PROBLEMS[:1]).rows
    assert [row["response"] for row in rows[1:]] == [path.response for path in ways(2)]


def test_random_keeps_its_first_lots_in_the_order_of_the_paths() -> None:
    """A draw of the capped number from the same paths: by the lots, not by the order of the samples."""
    paths = ways(20)
    for seed in range(5):
        rule = rules.load(f"random:{seed}")
        assert rule.rank is not None
        lots = {path.sample: rule.rank(path) for path in paths}  # type: ignore[arg-type]
        for cap in (1, 3, 20, 30):
            kept = [path.sample for path in selected([[paths]], rules=rule.name, cap=cap).paths]
            assert kept == sorted(sorted(lots, key=lots.__getitem__)[:cap])
    first = {selected([[paths]], rules=f"random:{seed}", cap=1).paths[0].sample for seed in range(10)}
    assert len(first) > 3


@settings(max_examples=15)
@given(path_lists(), st.integers(0, 99), st.sampled_from(["paper", "random:3", "none"]))
def test_files_and_their_order_do_not_matter(paths: list[Path], seed: int, rule: str) -> None:
    assert selected([shuffled(paths, seed, 3)], rules=rule, cap=2).rows == selected([[paths]], rules=rule, cap=2).rows


@pytest.mark.parametrize("rule", ["paper", "random:5", "reference", "shortest.py"])
def test_in_parts(tmp_path: File, rule: str) -> None:
    write_data(tmp_path)
    (tmp_path / "shortest.py").write_text(SHORTEST)
    named = f"{tmp_path}/{rule}" if rule.endswith(".py") else rule
    capped = job(tmp_path, rules=named, cap=2)
    expected = whole(capped)
    assert json.loads(expected["out.jsonl.stats.json"])["cap"] == 2
    if rule != "shortest.py":
        assert expected["out.jsonl"] != whole(job(tmp_path, rules=named))["out.jsonl"]
    assert in_parts(capped, 3) == expected


def test_parts_of_another_cap_are_not_merged(tmp_path: File) -> None:
    write_data(tmp_path)
    parts.write(job(tmp_path, cap=2), Part(), 1)
    with pytest.raises(UserError, match=r"other settings \(cap: 2 there, 3 now\): run --part=0/1 again"):
        parts.merge(job(tmp_path, cap=3))
