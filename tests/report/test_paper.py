"""The paper's tables, figures and claims, filled from what was run."""

import dataclasses
import html
import json
import re

import numpy as np
import pytest

from rft_jax.config import PipelineConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.evidence.compare import compare
from rft_jax.evidence.intervals import percent, share
from rft_jax.paper import published
from rft_jax.paper.claims import claims
from rft_jax.paper.preset import FULL
from rft_jax.pipeline import plan_file
from rft_jax.report import experiments, figures, paper_figures, paper_tables, report
from rft_jax.report.collect import collect
from tests.report import evaluated


def experiment(name, size):
    made = load(f"configs/paper/{name}.py:{size}", PipelineConfig)
    models = tuple(f"{model.partition('=')[0]}=somewhere" for model in made.models)
    return dataclasses.replace(made, models=models, problems="train.jsonl", test="test.jsonl", contamination=False)


def rows(page):
    cells = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in cells]


def named(page, name):
    return next(row[1:] for row in rows(page) if row[0] == name)


WORDS = ("RFT beats SFT", "As many steps on fewer problems are no better than as many epochs")
ACCURACIES = {"sft": 0.4, "rft-steps": 0.41, "rft-random": 0.5, "rft": 0.55}


@pytest.fixture
def tiny(tmp_path):
    """Returns a workdir in which two of three seeds of RFT are done, on one model, and what is right."""
    right = {"early-eval": evaluated.answers(1, 0.25)}
    for seed, suffix in enumerate(("", ".seed1", ".seed2")):
        for number, (name, accuracy) in enumerate(
            (("sft", 0.4), ("rft-steps", 0.41), ("rft-random", 0.5), ("rft", 0.55))
        ):
            right[f"early-{name}-eval{suffix}"] = evaluated.answers(10 * number + seed, accuracy)
    del right["early-rft-eval.seed2"]
    evaluated.write(tmp_path, experiment("rft", "tiny"), right)
    return tmp_path, right


def test_a_cell_is_over_the_seeds_that_are_done(tiny):
    folder, right = tiny
    page = paper_tables.tables(collect(folder))
    rft = np.stack([right["early-rft-eval"], right["early-rft-eval.seed1"]])
    told = f"{percent(dataclasses.asdict(share(rft)))}, 2 of 3 seeds"
    assert named(page, f"RFT, k = {experiment('rft', 'tiny').k}") == [told, "", ""]
    sft = np.stack([right[f"early-sft-eval{suffix}"] for suffix in ("", ".seed1", ".seed2")])
    assert named(page, "SFT") == [percent(dataclasses.asdict(share(sft))), "", ""]
    assert named(page, "RFT-U13B") == ["", "", ""]  # never run
    assert not any(row[0] == "paper" for row in rows(page))  # not the paper's models


def test_a_claim_is_tested_over_the_seeds_that_both_have(tiny):
    folder, right = tiny
    page = experiments.section(collect(folder))
    sft, rft = (np.stack([right[f"early-{name}-eval{suffix}"] for suffix in ("", ".seed1")]) for name in ("sft", "rft"))
    found = compare(sft, rft)
    points, p, told, shows, seeds, problems = named(page, "RFT beats SFT (early)")
    assert points == percent(dataclasses.asdict(found.difference), signed=True)
    assert float(p) == pytest.approx(found.p, rel=0.05)  # as it is printed; alone in its claim
    assert (seeds, problems) == ("2 of 3", "400")
    assert (told, shows) == (("better", "shown") if found.p < 0.05 else ("not told apart", "not shown"))
    assert named(page, "Distinct paths beat as many at random (early)")[3] == "not in the paper"
    assert not any("late" in row[0] for row in rows(page))


def test_what_is_missing_of_each_experiment_is_named(tiny):
    folder, _ = tiny
    (folder / "early-sft").mkdir()
    (folder / "early-sft" / "stage.json").write_text(
        json.dumps({"done": True, "kind": "train", "seconds": 1, "command": ""})
    )
    page = experiments.missing(collect(folder))
    _, done, whole, told = next(row for row in rows(page) if row[0] == "rft")
    assert (done, told) == ("1", "not complete")
    assert f"{int(whole) - 1} stages are missing" in page
    assert {"early-rft-eval.seed2", "early-rft-random.seed1", "late-rft-steps-eval"} <= set(
        re.findall(r"[\w.-]+", page)
    )
    assert "early-sft," not in page


def test_the_papers_values_stand_beneath_its_own_models(tmp_path):
    train, test = published.PROBLEMS  # a copy of GSM8K under any name
    (tmp_path / "train.jsonl").write_text('{"question": "1+1?", "answer": "#### 2"}\n' * train)
    right = {"7B-sft-eval": evaluated.answers(1, 0.35, test), "33B-sft-eval": evaluated.answers(2, 0.5, test)}
    evaluated.write(tmp_path, experiment("data_fraction", "full"), right)
    page = paper_tables.tables(collect(tmp_path))
    place = [row[0] for row in rows(page)].index("SFT")
    beneath = rows(page)[place + 1]
    assert beneath[0] == "paper"
    assert [float(cell) for cell in beneath[1:]] == [published.SFT[model] for model in published.MODELS]
    assert "7B, constant epochs" not in paper_figures.figures(collect(tmp_path))  # one point is no curve


def test_experiments_that_share_a_workdir_share_its_plan(tmp_path):
    first, second = experiment("rft", "tiny"), experiment("rules", "tiny")
    plan_file.write(tmp_path, plan_file.describe(first))
    plan_file.write(tmp_path, plan_file.describe(second))
    plan_file.write(tmp_path, plan_file.describe(second))
    plan = json.loads((tmp_path / plan_file.PLAN).read_text())
    assert [each["name"] for each in plan["experiments"]] == ["rft", "rules"]
    names = [stage["name"] for stage in plan["stages"]]
    assert len(names) == len(set(names))
    assert {"late-rft", "early-rft-nearest"} <= set(names)


def test_a_workdir_without_experiments_has_none_of_it(tmp_path):
    evaluated.write(tmp_path, evaluated.config(), {"eval-base": evaluated.answers(1, 0.3)})
    run = collect(tmp_path)
    sections = (paper_tables.tables, paper_figures.figures, experiments.section, experiments.missing)
    assert [section(run) for section in sections] == [""] * 4


def test_the_whole_page_is_made_while_experiments_are_half_done(tiny):
    page = html.unescape(report.write(tiny[0]).read_text())
    assert all(heading in page for heading in ("The paper's tables", "The paper's claims", "Experiments"))


def test_samples_of_test_problems_are_no_training_set(tmp_path):
    """They belong to other problems, so nothing of them stands beside the training problems."""
    stages = experiment("test_paths", "tiny")
    evaluated.write(tmp_path, stages, {"early-sft-eval": evaluated.answers(1, 0.4)})
    for name in ("early-set", "early-sft-test-set"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "selected.jsonl.stats.json").write_text("{}")
    run = collect(tmp_path)
    assert {each.name for each in run.selections} == {"early-set", "early-sft-test-set"}
    assert [each.name for each in run.training_sets] == ["early-set"]


def test_a_claim_that_the_papers_own_figures_contradict_is_expected_of_nobody():
    told = {pair.words: pair.expected for claim in claims(FULL) for pair in claim.pairs if claim.words in WORDS}
    assert told["7B, 1/2"] == "no better"  # 30.9 and 29.0
    assert told["7B, 1/8"] is None  # 16.5 and 17.9
    assert told["33B"] is None  # 54.6 and 54.5
    assert told["7B"] == "better"


def test_nothing_of_the_papers_stands_beside_a_run_with_other_settings(tmp_path):
    made = dataclasses.replace(experiment("rft_k", "full"), k=60)
    evaluated.write(tmp_path, made, {"7B-rft-eval": evaluated.answers(1, 0.35)})
    page = paper_tables.tables(collect(tmp_path))
    assert named(page, "RFT, k = 60")[0]
    assert not any(row[0] == "paper" for row in rows(page))
    assert "full, but problems = train.jsonl, test = test.jsonl, k = 60" in page


def test_experiments_of_other_settings_do_not_share_a_workdir(tmp_path):
    made = experiment("rft", "tiny")
    plan_file.write(tmp_path, plan_file.describe(made))
    before = (tmp_path / plan_file.PLAN).read_bytes()
    smaller = dataclasses.replace(experiment("rules", "tiny"), k=8)
    for other, told in (
        (smaller, f"k = 8, not {made.k}"),
        (experiment("rules", "smollm2"), "size = smollm2, not tiny"),
    ):
        with pytest.raises(UserError, match=f"experiments .rft. with other settings: .*{told}"):
            plan_file.write(tmp_path, plan_file.describe(other))
    assert (tmp_path / plan_file.PLAN).read_bytes() == before
    more = dataclasses.replace(experiment("rules", "tiny"), seeds=5)  # seeds can be added
    plan_file.write(tmp_path, plan_file.describe(more))


def test_one_seed_of_one_model_stands_beside_that_seed_alone(tmp_path):
    """A run of one seed is no model that all seeds share."""
    right = {f"early-sft-eval{suffix}": evaluated.answers(seed, 0.4) for seed, suffix in enumerate(("", ".seed1"))}
    right["early-rft-eval"] = evaluated.answers(7, 0.5)
    plan_file.write(tmp_path, plan_file.describe(experiment("sft", "tiny")))
    evaluated.write(tmp_path, dataclasses.replace(experiment("rft", "tiny"), seeds=2), right)
    found = compare(right["early-sft-eval"], right["early-rft-eval"])
    points, *_, seeds, _ = named(experiments.section(collect(tmp_path)), "RFT beats SFT (early)")
    assert points == percent(dataclasses.asdict(found.difference), signed=True)
    assert seeds == "1 of 2"


def test_many_curves_take_several_plots_whose_ids_differ():
    series = {f"model {number}": [(0.121, 0.4), (0.16, 0.3)] for number in range(20)}
    paper = {"paper": [(0.13, 0.4), (0.14, 0.5)]}
    made = figures.curves("Loss", series | paper, x="loss", y="accuracy", dashed=["paper"])
    assert len(made) == 3
    assert [sum(f">{name}<" in svg for name in series) for svg in made] == [7, 7, 6]
    assert all(">paper<" in svg for svg in made)
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in made]
    assert not ids[0] & ids[1]
    assert all(re.search(r">0\.1[0-9]+<", svg) for svg in made)  # ticks between whole numbers
    assert figures.curves("Nothing", {}, x="x", y="y") == []
