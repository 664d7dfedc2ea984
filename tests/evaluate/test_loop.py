"""An evaluation from settings to metrics, with a sampler that returns prepared answers."""

import dataclasses
import json

import pytest
from scipy import stats

from rft_jax.config import EvaluateConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.evaluate import loop
from rft_jax.pipeline.stage_settings import root
from rft_jax.records import manifest
from rft_jax.records.path import Path, read_paths, write_paths
from rft_jax.records.problem import Problem, read_problems, write_problems
from rft_jax.world.generate import problems

COUNT, K = 30, 4


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Returns settings of an evaluation whose model solves the first `skill` problems, one sample in two."""
    write_problems(tmp_path / "test.jsonl", problems("test", COUNT, 0))
    asked = []

    def sample(config, workdir):
        asked.append((config.k, config.temperature, workdir))
        skill = int(config.model)
        (workdir / "paths").mkdir(parents=True, exist_ok=True)
        paths = [
            Path(number, sample, "m", each.response if number < skill and sample % 2 == 0 else "#### -1")
            for number, each in enumerate(read_problems(config.problems))
            for sample in range(config.k)
        ]
        write_paths(workdir / "paths" / "0.jsonl", paths[:50])
        write_paths(workdir / "paths" / "1.jsonl", paths[50:])

    monkeypatch.setattr(loop, "sample", sample)
    made = load(f"{root()}/configs/evaluate.py", EvaluateConfig)
    return dataclasses.replace(made, model="12", problems=str(tmp_path / "test.jsonl"), name="m"), asked


def test_greedy_paths_and_votes(config, tmp_path):
    config, asked = config
    table = loop.evaluate(dataclasses.replace(config, k=K), tmp_path / "out")
    assert asked == [(1, 0.0, tmp_path / "out"), (K, 0.7, tmp_path / "out" / "votes")]
    metrics, right = loop.read_evaluation(tmp_path / "out", "reference")
    assert right == [True] * 12 + [False] * 18
    for grader in ("reference", "robust"):
        measures = metrics["graders"][grader]
        assert measures["maj1@1"]["mean"] == pytest.approx(0.4)
        assert measures["maj1@4"]["mean"] == pytest.approx(0.4)  # two votes against two: the answer seen first wins
        assert measures["pass@1"]["mean"] == pytest.approx(0.2)
        assert measures["pass@4"]["mean"] == pytest.approx(0.4)
    assert "maj1@4" in table
    assert "40.0 (24.6 to 57.7)" in table  # Wilson, 12 of 30


def test_without_votes_only_the_greedy_path_is_sampled(config, tmp_path):
    config, asked = config
    loop.evaluate(config, tmp_path / "out")
    assert [k for k, _, _ in asked] == [1]
    assert list(loop.read_evaluation(tmp_path / "out", "reference")[0]["graders"]["robust"]) == ["maj1@1"]


def test_two_models_are_compared_in_pairs(config, tmp_path):
    config, _ = config
    loop.evaluate(config, tmp_path / "first")
    better = dataclasses.replace(config, model="20", against=(str(tmp_path / "first"),))
    table = loop.evaluate(better, tmp_path / "second")
    (compared,) = json.loads((tmp_path / "second" / "metrics.json").read_text())["against"]
    assert (compared["only_first"], compared["only_second"]) == (0, 8)
    assert compared["difference"]["mean"] == pytest.approx(8 / 30)
    assert compared["p"] == pytest.approx(stats.chi2.sf(8, 1))  # McNemar's test
    assert "against m: +26.7 (+" in table


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problems": None}, "--config.problems"),
        ({"k": -1}, "k = -1"),
        ({"k": 4, "temperature": 0.0}, "all k = 4 samples would be the greedy path"),
        ({"against": ("nowhere",)}, "nowhere holds no finished evaluation"),
    ],
)
def test_mistakes_are_reported_before_anything_is_sampled(config, tmp_path, change, told):
    config, asked = config
    with pytest.raises(UserError, match=told):
        loop.evaluate(dataclasses.replace(config, **change), tmp_path / "out")
    assert asked == []


def test_evaluations_on_other_problems_are_not_compared(config, tmp_path):
    config, asked = config
    loop.evaluate(config, tmp_path / "first")
    write_problems(tmp_path / "other.jsonl", [Problem("Other?", "#### 1")])
    other = dataclasses.replace(config, problems=str(tmp_path / "other.jsonl"), against=(str(tmp_path / "first"),))
    with pytest.raises(UserError, match="so there is nothing to compare"):
        loop.evaluate(other, tmp_path / "out")
    assert len(asked) == 1


def test_missing_paths_are_reported(config, tmp_path, monkeypatch):
    config, _ = config
    whole = loop.sample

    def half(config, workdir):
        whole(config, workdir)
        (workdir / "paths" / "0.jsonl").unlink()

    monkeypatch.setattr(loop, "sample", half)
    with pytest.raises(UserError, match="problem 0 has 0 of 1 paths; run the command again"):
        loop.evaluate(config, tmp_path / "out")


def test_the_config_has_the_papers_settings_and_names_its_presets():
    paper = load(f"{root()}/configs/evaluate.py:paper", EvaluateConfig)
    assert (paper.k, paper.temperature, paper.top_k) == (100, 0.7, 50)
    assert load(f"{root()}/configs/evaluate.py:shots", EvaluateConfig).shots == 8
    with pytest.raises(UserError, match="did you mean 'paper'"):
        load(f"{root()}/configs/evaluate.py:papr", EvaluateConfig)


def test_gold_answers_are_read_before_anything_is_sampled(config, tmp_path):
    config, asked = config
    write_problems(tmp_path / "test.jsonl", [Problem("Six times seven?", "42")])
    with pytest.raises(UserError, match=r"test\.jsonl:1: the grader 'reference' reads no answer in .*'42'"):
        loop.evaluate(config, tmp_path / "out")
    assert asked == []


def test_an_auditor_that_cannot_read_a_gold_answer_leaves_it_out(config, tmp_path):
    config, _ = config
    write_problems(tmp_path / "test.jsonl", [Problem("One?", "#### $1"), Problem("Two?", "#### 2")])
    made = loop.evaluate(dataclasses.replace(config, task="gsm8k_chat"), tmp_path / "out")
    metrics, right = loop.read_evaluation(tmp_path / "out", "robust")
    assert (metrics["task"], metrics["grader"], list(metrics["graders"])) == (
        "gsm8k_chat",
        "robust",
        ["robust", "reference"],
    )
    assert right == [True, True]
    assert metrics["audits"]["reference"] | {"examples": []} == {
        "paths": 1, "disagree": 0, "share": 0.0, "unreadable_gold_answers": 1, "examples": [],
    }  # fmt: skip
    assert "reference cannot read 1 gold answers, which are left out" in made
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["reference"] is None for line in lines] == [True, False]


def test_where_the_graders_disagree(config, tmp_path, monkeypatch):
    config, _ = config
    whole = loop.sample

    def in_dollars(config, workdir):
        whole(config, workdir)
        for file in (workdir / "paths").glob("*.jsonl"):
            write_paths(
                file, [path._replace(response=path.response.replace("#### ", "#### $")) for path in read_paths(file)]
            )

    monkeypatch.setattr(loop, "sample", in_dollars)
    loop.evaluate(dataclasses.replace(config, k=2), tmp_path / "out")
    metrics, _ = loop.read_evaluation(tmp_path / "out", "reference")
    audit = metrics["audits"]["robust"]
    assert (audit["paths"], audit["disagree"], audit["share"]) == (90, 24, 24 / 90)  # 12 greedy paths, 12 of 24 samples
    assert len(audit["examples"]) == 20
    first = audit["examples"][0]
    gold = read_problems(config.problems)[0].response.rpartition(" ")[2]
    assert first == {
        "problem": 0, "model": "m", "sample": 0, "kind": "greedy", "correct_by": "robust",
        "answers": {"reference": None, "robust": gold},
    }  # fmt: skip
    assert metrics["graders"]["reference"]["maj1@1"]["mean"] == 0
    assert metrics["graders"]["robust"]["maj1@1"]["mean"] == pytest.approx(0.4)


def test_evaluations_are_compared_on_the_grader_in_use(config, tmp_path):
    config, asked = config
    loop.evaluate(config, tmp_path / "first")
    against = dataclasses.replace(config, against=(str(tmp_path / "first"),))
    loop.evaluate(dataclasses.replace(against, task="gsm8k_chat"), tmp_path / "second")
    (tmp_path / "first" / "metrics.json").write_text(
        (tmp_path / "first" / "metrics.json").read_text().replace('"robust"', '"strict"')
    )
    count = len(asked)
    with pytest.raises(UserError, match="was graded by reference, strict, not by 'robust' like this evaluation"):
        loop.evaluate(dataclasses.replace(against, task="gsm8k_chat"), tmp_path / "third")
    assert len(asked) == count


@pytest.mark.parametrize("place", ["", "votes"])
def test_paths_of_other_problems_are_refused_before_anything_is_sampled(config, tmp_path, place):
    config, asked = config
    config = dataclasses.replace(config, k=K)
    loop.evaluate(config, tmp_path / "out")
    folder = tmp_path / "out" / place / "paths"
    told = manifest.of_problems([Problem("Another?", "#### 1")])
    (folder / "manifest.json").write_text(json.dumps({"problems": told}))
    count = len(asked)
    with pytest.raises(UserError, match=r"sampled from other problems than .*test\.jsonl"):
        loop.evaluate(config, tmp_path / "out")
    assert len(asked) == count
