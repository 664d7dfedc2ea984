"""Comparisons in the report: over seeds and problems, with verdicts; accuracies of models with several seeds."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from rft_jax.config import WorldStage
from rft_jax.errors import UserError
from rft_jax.evidence.compare import compare
from rft_jax.evidence.intervals import percent, share
from rft_jax.records import manifest
from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import read_problems
from rft_jax.report import comparisons, report, sections, summary
from rft_jax.report.collect import collect
from rft_jax.report.replicates import replicates
from rft_jax.world import write
from tests.report import evaluated

SEEDS = {"eval-sft": 0.40, "eval-rft": 0.52}


def right_of(seeds):
    """Returns the evaluations of three seeds, as the pipeline names them."""
    found = {"eval-base": evaluated.answers(1000, 0.3)}
    for number, (name, accuracy) in enumerate(SEEDS.items()):
        for seed in range(seeds):
            found[f"{name}.seed{seed}" if seed else name] = evaluated.answers(10 * number + seed, accuracy)
    return found


@pytest.fixture
def three(tmp_path):
    """Returns a workdir with three seeds, and what is right in it."""
    right = right_of(3)
    evaluated.write(tmp_path, evaluated.config(seeds=3), right)
    return tmp_path, right


def stacked(right, name):
    return np.stack([right[name], right[f"{name}.seed1"], right[f"{name}.seed2"]])


def shown(comparison):
    return percent(dataclasses.asdict(comparison.difference), signed=True)


def test_a_comparison_is_over_all_seeds_and_problems(three):
    folder, right = three
    over_base, over_sft = comparisons.compared(collect(folder))
    sft, rft = (stacked(right, name) for name in SEEDS)
    assert (over_base.name, over_sft.name) == ("sft against base", "rft against sft")
    assert over_base.both == compare(right["eval-base"], sft)  # the base is the same for all seeds
    assert over_sft.both == compare(sft, rft)
    assert [over_sft.each[seed] for seed in range(3)] == [compare(sft[seed], rft[seed]) for seed in range(3)]
    gains = [rft[seed].mean() - sft[seed].mean() for seed in range(3)]
    assert over_sft.deviation == pytest.approx(np.std(gains, ddof=1))
    assert (over_sft.seeds, over_sft.problems) == (3, evaluated.PROBLEMS)
    page = report.write(folder).read_text(encoding="utf-8")
    text = re.sub(r"<[^>]*>", " ", page)
    for told in (over_sft.both, *over_sft.each.values()):
        assert shown(told) in text
    assert "better" in text
    assert "Owen and Eckles 2012" in text
    assert "corrected for 2 comparisons (Holm 1979)" in text
    assert "With one seed" not in text
    printed = summary.table(folder)
    (line,) = (line for line in printed.splitlines() if line.startswith("rft against sft"))
    assert shown(over_sft.both) in line
    assert "better" in line


def test_a_model_with_several_seeds_has_one_row(three):
    folder, right = three
    run = collect(folder)
    groups = {group.model: group for group in replicates(run)}
    assert list(groups) == ["base", "sft", "rft"]
    rft = stacked(right, "eval-rft")
    assert groups["rft"].estimate("reference", "maj1@1") == dataclasses.asdict(share(rft.astype(float)))
    assert groups["rft"].estimate("reference", "maj1@2") == groups["rft"].estimate("reference", "pass@2")
    assert groups["base"].estimate("reference", "maj1@1") == run.evaluations[0].measures["maj1@1"]
    text = re.sub(r"<[^>]*>", " ", sections.results(run))
    assert "rft.seed1" not in text
    assert text.count(groups["rft"].told("reference", "maj1@1")) == 4  # all agree: maj1@1, maj1@2, pass@1, pass@2
    for row in rft:
        assert percent(dataclasses.asdict(share(row))) in text


def test_a_seed_that_is_missing_is_told(three):
    folder, _ = three
    shutil.rmtree(folder / "eval-rft.seed2")
    (_, over_sft) = comparisons.compared(collect(folder))
    assert (over_sft.seeds, over_sft.planned) == (2, 3)
    assert "2 of 3" in comparisons.section(collect(folder))
    assert "Two seeds say little" in comparisons.section(collect(folder))
    assert "2 of 3 seeds" in summary.table(folder)
    shutil.rmtree(folder / "eval-rft")
    (_, alone) = comparisons.compared(collect(folder))
    assert (alone.seeds, alone.planned, alone.each) == (1, 3, {})


def test_one_seed_is_over_problems_alone_and_says_so(tmp_path):
    right = right_of(1)
    evaluated.write(tmp_path, evaluated.config(), right)
    _, over_sft = comparisons.compared(collect(tmp_path))
    assert over_sft.both == compare(right["eval-sft"], right["eval-rft"])
    assert over_sft.deviation is None
    section = comparisons.section(collect(tmp_path))
    assert comparisons.ONE_SEED.replace("'", "&#x27;") in section
    assert "Seed by seed" not in section


def test_an_old_plan_and_evaluations_by_hand_are_compared_too(tmp_path):
    right = right_of(1)
    evaluated.write(tmp_path, evaluated.config(), right)
    expected = [each.both for each in comparisons.compared(collect(tmp_path))]
    plan = json.loads((tmp_path / "pipeline.json").read_text())
    for stage in plan["stages"]:
        del stage["base"], stage["replicate"]
    (tmp_path / "pipeline.json").write_text(json.dumps(plan))
    assert [each.both for each in comparisons.compared(collect(tmp_path))] == expected
    (tmp_path / "pipeline.json").unlink()
    by_hand = [each.both for each in comparisons.compared(collect(tmp_path))]
    assert by_hand == expected[::-1]  # in the order of the folders' names


def test_a_comparison_with_an_evaluation_elsewhere_is_what_was_recorded(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "other").mkdir()
    first, second = evaluated.answers(1, 0.3), evaluated.answers(2, 0.5)
    evaluated.evaluation(tmp_path / "other" / "eval", "old", first)
    evaluated.evaluation(tmp_path / "run" / "eval", "new", second)
    metrics = json.loads((tmp_path / "run" / "eval" / "metrics.json").read_text())
    told = {"name": "old", "workdir": str(tmp_path / "other" / "eval")} | dataclasses.asdict(compare(first, second))
    (tmp_path / "run" / "eval" / "metrics.json").write_text(json.dumps(metrics | {"against": [told]}))
    (only,) = comparisons.compared(collect(tmp_path / "run"))
    assert (only.name, only.both) == ("new against old", compare(first, second))


def test_a_difference_by_chance_is_not_told_apart(tmp_path):
    """Alone, p is below 0.05; of two comparisons, Holm's correction doubles it."""
    first = np.zeros(400, bool)
    second, third = first.copy(), first.copy()
    second[:5] = True  # p = 0.025
    third[:9] = True  # 4 more: p = 0.046
    right = {"eval-base": first, "eval-sft": second, "eval-rft": third}
    evaluated.write(tmp_path, evaluated.config(), right)
    over_base, over_sft = comparisons.compared(collect(tmp_path))
    assert over_sft.both.p < 0.05
    assert [row[2] for row in comparisons.rows([over_base, over_sft])] == ["not told apart", "not told apart"]
    assert [row[2] for row in comparisons.rows([over_sft])] == ["better"]


def test_clusters_reach_the_comparisons(tmp_path):
    templates = [str(number // 50) for number in range(400)]
    right = right_of(3)
    evaluated.write(tmp_path, evaluated.config(seeds=3), right, templates)
    _, over_sft = comparisons.compared(collect(tmp_path))
    assert over_sft.both == compare(stacked(right, "eval-sft"), stacked(right, "eval-rft"), templates)
    section = comparisons.section(collect(tmp_path))
    assert "400 in 8 clusters" in section
    assert "Problems are taken by template, 8 clusters: so few that it is a guess." in section
    groups = {group.model: group for group in replicates(collect(tmp_path))}
    clustered = share(stacked(right, "eval-rft").astype(float), templates)
    assert groups["rft"].estimate("reference", "maj1@1") == dataclasses.asdict(clustered)


def test_evaluations_on_other_problems_are_compared_among_themselves(tmp_path):
    right = right_of(1)
    evaluated.write(tmp_path, evaluated.config(), right)
    (tmp_path / "pipeline.json").unlink()
    evaluated.evaluation(tmp_path / "fresh-sft", "sft", right["eval-sft"][:200], fingerprint="g", problems="fresh")
    evaluated.evaluation(
        tmp_path / "fresh-rft", "rft", right["eval-rft"][:200], None, {"fresh-sft": right["eval-sft"][:200]},
        fingerprint="g", problems="fresh",
    )  # fmt: skip
    names = [each.name for each in comparisons.compared(collect(tmp_path))]
    assert "rft against fresh-sft" not in names
    assert "rft against sft on fresh, 200 problems" in names
    assert len(names) == 3


def test_damaged_results_are_one_clear_line(three):
    folder, _ = three
    file = folder / "eval-rft" / "results.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"results\.jsonl is not what metrics\.json beside it tells of, 400 problems"):
        report.write(folder)


def test_paths_of_another_seed_are_of_its_own_problems(tmp_path):
    stages = (WorldStage(name="world", train=5, test=8, seed=0), *evaluated.STAGES)
    made = dataclasses.replace(evaluated.config(seeds=2, stages=stages), problems="world/train.jsonl")
    evaluated.write(tmp_path, made, right_of(2))
    for name, seed in (("", 0), (".seed1", 1)):
        write.write_problem_sets(tmp_path / f"world{name}", train=5, test=8, seed=seed)
        problems = read_problems(tmp_path / f"world{name}" / "train.jsonl")
        folder = tmp_path / f"paths{name}" / "paths"
        folder.mkdir(parents=True)
        write_paths(folder / "0.jsonl", [Path(0, 0, "sft", problems[0].response, 9, "eos")])
        told = {"temperature": 0.7, "problems": manifest.of_problems(problems)}
        (folder / "manifest.json").write_text(json.dumps(told))
    run = collect(tmp_path)  # which checks the paths
    assert run.problems_of("paths") == run.problems != run.problems_of("paths.seed1")
    assert run.source_of("paths.seed1") == "world.seed1/train.jsonl"
    assert "paths.seed1: 1 responses" in sections.lengths(run)
    assert sections.lengths(run).count("right") >= 2  # each by its own gold answer
    shutil.move(tmp_path / "world", tmp_path / "stale")
    shutil.move(tmp_path / "world.seed1", tmp_path / "world")
    with pytest.raises(UserError, match=r"sampled from other problems than world/train\.jsonl"):
        collect(tmp_path)
