"""What stands beside the paper's figures, and in one curve."""

import dataclasses
import re
from pathlib import Path

import pytest

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, TrainStage
from rft_jax.config_flag import load
from rft_jax.pipeline import plan_file
from rft_jax.pipeline.stage_settings import root
from rft_jax.report import paper, sections
from rft_jax.report.collect import Evaluation, Selection, Workdir, collect
from rft_jax.report.kinds import NOT_PLANNED, kind_of, paper_figure
from tests.report import evaluated


def planned(config):
    return Workdir(Path(), plan_file.describe(config), {}, [], [], [], [], None)


def rows(page):
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]


def test_kinds_in_the_papers_experiments():
    made = load(f"{root()}/configs/paper/all.py:tiny", PipelineConfig)
    run = planned(made)
    kinds = {
        "early": "base", "late": "trained on corpus/corpus.jsonl", "late-sft": "sft", "early-sft": "sft",
        "early-sft-1of2": "sft, part", "early-rft": "rft", "early-rft-u13b": "union", "early-rft-none": "no dedup",
        "early-rft-k3": "rft, k = 3", "early-rft-none-1of2": "no dedup, part", "early-rft-hot": "rft, other paths",
        "early-sft-faithful": "sft, own settings",
        "early-rft-faithful": f"rft, other paths, k = {made.k - 1}, own settings",
        "early-rft-round2": "later round", "early-rft-steps": "sft, longer", "gone": NOT_PLANNED,
        "early-set": NOT_PLANNED,
    }  # fmt: skip
    assert {name: kind_of(run, name) for name in kinds} == kinds


PAPERS = (
    TrainStage(name="sft", model="base", data="gold", settings=("seed=3", "batch=16")),
    SampleStage(name="paths", model="sft"),
    SelectStage(name="set", paths=("paths",)),
    TrainStage(name="rft", model="base", data="set"),
    EvaluateStage(name="eval", model="rft"),
)


def figure(*stages, shots=0, **fields):
    """Returns the paper's figure of the model that the last stage evaluates."""
    plan = {"k": 100, "temperature": 0.7, "models": ("base=x",), "contamination": False} | fields
    run = planned(PipelineConfig(problems="a", test="b", seed=0, controls=(), stages=stages, **plan))
    metrics = {"name": stages[-1].model, "grader": "reference", "shots": shots}
    return paper_figure(run, Evaluation(stages[-1].name, metrics, Path()))


def test_the_papers_figures_stand_beside_its_settings():
    assert figure(*PAPERS) == paper.ACCURACY["rft"]
    assert figure(PAPERS[0], EvaluateStage(name="eval", model="sft")) == paper.ACCURACY["sft"]
    assert figure(EvaluateStage(name="eval", model="base"), shots=8) == paper.ACCURACY["base"]
    assert figure(EvaluateStage(name="eval", model="base")) is None


@pytest.mark.parametrize("models", [2, 4, 5])
def test_the_papers_unions_are_of_four_and_of_five_models(models):
    names = [f"m{number}" for number in range(models)]
    made = []
    for name in names:
        made += [
            TrainStage(name=f"{name}-sft", model=name, data="gold"),
            SampleStage(name=name + "p", model=f"{name}-sft"),
        ]
    union = SelectStage(name="set", paths=tuple(f"{name}p" for name in names))
    last = (TrainStage(name="rft", model="m0", data="set"), EvaluateStage(name="eval", model="rft"))
    found = figure(*made, union, *last, models=tuple(f"{name}=x" for name in names))
    assert found == {4: ("RFT-U13B", 50.3), 5: ("RFT-U33B", 51.2)}.get(models)


@pytest.mark.parametrize(
    "fields",
    [
        {"k": 16}, {"temperature": 0.9}, {"fraction": 0.5}, {"task": "math"}, {"train_settings": ("epochs=2",)},
        {"sample_settings": ("top_k=50",)}, {"train": "configs/sft.py:llama2-7b:paper"},
        {"train_settings": ("loss=group_mean",)},
    ],
)  # fmt: skip
def test_a_pipeline_with_other_settings_has_no_figure_of_the_papers(fields):
    assert figure(*PAPERS, **fields) is None


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"settings": ("epochs=1",)}), (0, {"settings": ("fraction=1/2",)}), (0, {"config": "own.py"}),
        (0, {"steps_of": "rft"}), (1, {"settings": ("temperature=1.0",)}), (1, {"model": "base"}),
        (2, {"rules": "random"}), (2, {"cap": 4}), (3, {"settings": ("fraction=1/2",)}), (3, {"model": "sft"}),
        (3, {"k": 3}), (4, {"problems": "others"}),
    ],
)  # fmt: skip
def test_a_stage_with_other_settings_has_no_figure_of_the_papers(place, change):
    stages = [dataclasses.replace(each, **change) if n == place else each for n, each in enumerate(PAPERS)]
    assert figure(*stages) is None


def test_what_is_left_over_of_another_plan_is_told_and_stands_nowhere(tmp_path):
    made = evaluated.config(contamination=False)
    evaluated.write(tmp_path, made, {"eval-base": evaluated.answers(0, 0.2), "eval-sft": evaluated.answers(1, 0.4)})
    evaluated.evaluation(tmp_path / "old-eval", "old", evaluated.answers(2, 0.3))
    evaluated.evaluation(tmp_path / "again", "sft", evaluated.answers(2, 0.3))
    found = {row[0]: row[-1] for row in rows(sections.results(collect(tmp_path)))[1:]}
    assert found == {
        "base": "–", "sft": "41.6 (SFT)", "old (not in the plan)": "–", "sft (not in the plan)": "–",
    }  # fmt: skip


def test_a_curve_against_the_fraction_is_of_one_start_without_settings_of_its_own(tmp_path):
    part = ("fraction=1/2",)
    stages = [
        stage
        for name, start, settings in (
            ("a", "one", ()), ("b", "one", part), ("c", "two", ()), ("d", "two", part),
            ("e", "one", (*part, "epochs=9")),
        )
        for stage in (
            TrainStage(name=name, model=start, data="gold", settings=settings),
            EvaluateStage(name=f"{name}-eval", model=name),
        )
    ]  # fmt: skip
    made = evaluated.config(stages=tuple(stages), contamination=False)
    made = dataclasses.replace(made, models=("one=x", "two=y"))
    shares = {"a": 0.4, "b": 0.3, "c": 0.7, "d": 0.6, "e": 0.1}
    evaluated.write(tmp_path, made, {f"{name}-eval": evaluated.answers(0, share) for name, share in shares.items()})
    run = collect(tmp_path)
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections.figures, "curves", lambda title, series, **_: drawn.append(series) or "")
        sections.against_fraction(run)
    (series,) = drawn
    mean = {each.metrics["name"]: each.measures["maj1@1"]["mean"] for each in run.evaluations}
    assert series.pop("paper, 7B-2")
    assert series == {"one": [(0.5, mean["b"]), (1.0, mean["a"])], "two": [(0.5, mean["d"]), (1.0, mean["c"])]}


def test_seeds_are_named_as_the_pipeline_has_them(tmp_path):
    made = dataclasses.replace(evaluated.config(seeds=3, contamination=False), seed=5)
    right = {f"eval-sft{seed}": evaluated.answers(1, 0.4) for seed in ("", ".seed6", ".seed7")}
    evaluated.write(tmp_path, made, right)
    assert ["maj1@1", "seed 5", "seed 6", "seed 7"] in rows(sections.results(collect(tmp_path)))


def test_rows_of_a_part_of_a_selected_set(workdir):
    run = collect(workdir)
    whole = sections.training_of(run, "rft")[0]
    stages = [each | {"settings": ["fraction=1/2"]} if each["name"] == "rft" else each for each in run.plan["stages"]]
    part = dataclasses.replace(run, plan=run.plan | {"stages": stages})
    assert int(sections.training_of(part, "rft")[0]) == -(-int(whole) // 2)


def test_each_union_tells_who_found_its_paths_with_its_seed():
    def union(name, models):
        found = [{"models": [each], "distinct": 2, "share": 0.5} for each in models]
        return Selection(name, {"models": dict.fromkeys(models), "rules": "paper", "found_by": found}, Path())

    made = load(f"{root()}/configs/paper/all.py:tiny", PipelineConfig)
    run = planned(dataclasses.replace(made, seed=5, seeds=2))
    run = dataclasses.replace(
        run, selections=[union("u13b-set", "ab"), union("u33b-set.seed6", "abc"), union("early-set", "a")]
    )
    heads = [row[0] for row in rows(sections.provenance(run)) if "found by" in row[0]]
    assert heads == ["u13b-set, seed 5: found by", "u33b-set, seed 6: found by"]
