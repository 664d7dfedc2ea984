"""What budgets found, beside uniform sampling of the same model."""

import json
from pathlib import Path as File

import numpy as np
import pytest

from rft_jax.config import PipelineConfig, SampleStage
from rft_jax.errors import UserError
from rft_jax.evidence.mean import mean
from rft_jax.pipeline import plan_file
from rft_jax.records import manifest
from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.report import budgets
from rft_jax.report.collect import Workdir, collect

PROBLEMS = [Problem(f"Question {number}?", f"#### {number}") for number in range(4)]
BUDGET = manifest.of_budget(["distinct=2 of 4"], 2)


def paths(seed: int, counts: list[int]) -> list[Path]:
    """Returns so many paths of each problem: of problem 0 all wrong, of 1 one way, of others a way for each."""
    return [
        Path(problem, sample, "m", f"<<{way}+{seed}={way + seed}>>\n#### {problem or -1}", 10, "eos")
        for problem, count in enumerate(counts)
        for sample in range(count)
        for way in [sample if problem > 1 else 0]
    ]


@pytest.fixture
def run(tmp_path: File) -> Workdir:
    stages = (
        SampleStage(name="paths-all", model="base"),
        SampleStage(name="paths-few", model="base", settings=("budget=distinct=2",)),
        SampleStage(name="paths-other", model="base", settings=("temperature=1.0",)),
    )
    config = PipelineConfig(
        problems="problems.jsonl", test="problems.jsonl", models=("base=somewhere",), k=3, temperature=0.9, seed=0,
        seeds=2, contamination=False, stages=stages,
    )  # fmt: skip
    plan = plan_file.describe(config)
    (tmp_path / "pipeline.json").write_text(json.dumps(plan))
    write_problems(tmp_path / "problems.jsonl", PROBLEMS)
    for stage in plan["stages"]:
        base, seed = stage["base"], stage["replicate"]
        found = paths(seed, [3, 3, 3, 3] if base != "paths-few" else [4, 4, 2, 2 + seed])
        folder = tmp_path / stage["name"] / "paths"
        folder.mkdir(parents=True)
        write_paths(folder / "a.jsonl", found)
        fields = {"seed": seed, "temperature": 1.0 if base == "paths-other" else 0.9, "name": stage["name"]}
        if base == "paths-few":
            fields[manifest.BUDGET] = BUDGET
        (folder / manifest.NAME).write_text(json.dumps(fields))
    return collect(tmp_path)


def test_each_stands_beside_uniform_sampling_of_its_seed(run: Workdir) -> None:
    everything, few, other = budgets.compared(run)
    assert (everything.budget, few.budget, other.name) == ("uniform", "distinct=2 of 4", "paths-other")
    assert [found.distinct.tolist() for found in few.ours] == [[0, 1, 2, 2], [0, 1, 2, 3]]
    assert [found.right.tolist() for found in few.uniform] == [[0, 3, 3, 3], [0, 3, 3, 3]]
    assert [found.tokens.tolist() for found in few.ours] == [[40, 40, 20, 20], [40, 40, 20, 30]]
    assert few.difference(lambda found: found.distinct).tolist() == [[0, 0, -1, -1], [0, 0, -1, 0]]
    assert other.uniform == other.ours  # of another temperature there is only itself


def test_the_table(run: Workdir) -> None:
    html = budgets.section(run)
    differences = np.array([[0, 0, -1, -1], [0, 0, -1, 0]])
    estimate = mean(100 * differences / 1.75)  # distinct paths a problem of uniform sampling: 0, 1, 3 and 3
    assert estimate is not None
    assert f"{estimate.mean:+.1f} % ({estimate.low:+.1f} to {estimate.high:+.1f})" in html
    assert "<td>distinct=2 of 4</td>" in html
    assert "how many of 4 problems are never solved; 2 seeds." in html
    assert html.count("<td>–</td>") == 4  # uniform sampling beside itself
    assert "<td>uniform, paths-other</td>" in html


def test_a_path_that_does_not_tell_its_tokens_is_refused(run: Workdir) -> None:
    folder = run.samplings[0].folder
    write_paths(folder / "b.jsonl", [Path(1, 9, "m", "#### 1", None, "eos")])
    with pytest.raises(UserError, match=r"sample 9 of problem 1 has no number of tokens"):
        budgets.section(run)


def test_without_budgets_there_is_none(run: Workdir) -> None:
    run.samplings[:] = [each for each in run.samplings if manifest.BUDGET not in each.manifest]
    assert budgets.section(run) == ""


def test_a_mean_over_problems_is_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 40)
    estimate = mean(values)
    assert estimate is not None
    half = 2.0226909 * values.std(ddof=1) / np.sqrt(40)
    assert (estimate.mean, estimate.high) == pytest.approx((values.mean(), values.mean() + half))
    assert mean([1.0]) is None


def test_a_mean_over_seeds_and_problems_covers() -> None:
    """Of 2,000 drawn ones 93 to 97 % hold the truth; up to 98.5 % where seeds hardly differ: what they may is added."""
    draw = np.random.default_rng(0)
    for of_problem, of_seed, rest, most in [(1.0, 0.3, 1.0, 0.97), (0.2, 0.02, 1.0, 0.985), (1.0, 0.0, 0.1, 0.97)]:
        held = 0
        for _ in range(2000):
            seeds, problems = draw.normal(0, of_seed, (5, 1)), draw.normal(0, of_problem, 100)
            estimate = mean(seeds + problems + draw.normal(0, rest, (5, 100)))
            assert estimate is not None
            held += estimate.low <= 0 <= estimate.high
        assert 0.93 <= held / 2000 <= most, (of_problem, of_seed, rest)
