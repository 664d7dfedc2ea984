"""pass@k is given where it is unbiased, and else the reason why it is not."""

import json
import math
from pathlib import Path as File
from typing import Any

from rft_jax.budget.outcome import Outcome
from rft_jax.budget.parse import parse
from rft_jax.records import manifest
from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import Problem, read_problems, write_problems
from rft_jax.select.selection import select
from rft_jax.select.statistics import table
from tests.budget.made import run

RIGHT, WRONG = "<<1+1=2>>\n#### 2", "#### 3"


def statistics(folder: File, counts: list[str], **told: Any) -> dict[str, Any]:
    """Selects from paths of problems, "+" a right and "-" a wrong one, beside a manifest if anything is `told`."""
    (folder / "paths").mkdir(parents=True)
    write_problems(folder / "problems.jsonl", [Problem("1+1?", "#### 2")] * len(counts))
    paths = [
        Path(problem, sample, "m", RIGHT if each == "+" else WRONG)
        for problem, all_of_it in enumerate(counts)
        for sample, each in enumerate(all_of_it)
    ]
    write_paths(folder / "paths" / "a.jsonl", paths)
    if told:
        asked = manifest.of_problems(read_problems(folder / "problems.jsonl"))
        (folder / "paths" / "manifest.json").write_text(json.dumps({"problems": asked, "name": "m"} | told))
    return select(
        str(folder / "problems.jsonl"), [f"{folder}/paths/*.jsonl"], str(folder / "out.jsonl"),
        rules="paper", ks=[2], workers=1,
    )  # fmt: skip


def pass_at(result: dict[str, Any]) -> dict[str, float | None]:
    assert result["models"]["m"]["at_k"] == result["united"]["at_k"]
    assert result["models"]["m"]["pass_at_k_note"] == result["united"]["pass_at_k_note"]
    return {k: values["pass_at_k"] for k, values in result["united"]["at_k"].items()}


def test_of_a_run_that_stopped_by_what_it_found_the_first_samples_alone_count(tmp_path: File) -> None:
    budget = manifest.of_budget(["distinct=2"], 2)
    result = statistics(tmp_path, ["+-+", "--++", "++", "----"], budget=budget)
    # Of the first two samples one, none, two and none are right.
    assert pass_at(result) == {"1": 3 / 8, "2": 0.5, "3": None, "4": None}
    assert "pass@k is from the first 2 samples, which every problem has; more would be biased" in table(result)


def test_of_a_uniform_run_that_is_not_finished_all_count(tmp_path: File) -> None:
    result = statistics(tmp_path, ["+-+", "--++"], seed=0)
    assert pass_at(result) == {"1": 7 / 12, "2": 11 / 12, "3": 1.0, "4": None}
    assert result["united"]["pass_at_k_note"] is None


def test_of_unequal_numbers_that_nobody_tells_of_none_count(tmp_path: File) -> None:
    result = statistics(tmp_path / "unequal", ["+-+", "--++"])
    assert set(pass_at(result).values()) == {None}
    assert "m: the problems have different numbers of samples, and nothing tells whether" in table(result)
    equal = statistics(tmp_path / "equal", ["+-+", "--+"])
    assert pass_at(equal) == {"1": 0.5, "2": 5 / 6, "3": 1.0}


def test_a_budget_of_a_version_to_come(tmp_path: File) -> None:
    for number, budget in enumerate([{"policies": ["new=3"]}, "new=3", {"always": "2"}]):
        result = statistics(tmp_path / str(number), ["+-+", "--++"], budget=budget)
        assert set(pass_at(result).values()) == {None}


def test_what_is_given_is_right_on_average_and_the_plain_estimate_is_not(tmp_path: File) -> None:
    """Every outcome of 5 samples at p = 1/2, as problems of their own: pass@1 and pass@2 are 1/2 and 3/4."""
    policy = parse("distinct=2", 5)
    every = [["+" if bits >> place & 1 else "-" for place in range(5)] for bits in range(2**5)]
    made = [
        [Outcome(each == "+", place if each == "+" else None, 1) for place, each in enumerate(one)] for one in every
    ]
    counts = ["".join(one[:end]) for one, end in zip(every, run(policy, made).wanted, strict=True)]
    result = statistics(tmp_path, counts, budget=manifest.of_budget([policy.text], policy.always))
    assert {k: share for k, share in pass_at(result).items() if share is not None} == {"1": 0.5, "2": 0.75}
    plain = math.fsum(one.count("+") / len(one) for one in counts) / len(counts)
    assert plain > 0.55
