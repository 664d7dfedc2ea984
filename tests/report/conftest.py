"""A small run without a model: the paths are generated solutions, some with mistakes."""

import dataclasses
import json
import random

import pytest

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, TrainStage, WorldStage
from rft_jax.evaluate.grade import describe, grade, judge
from rft_jax.evidence.compare import compare
from rft_jax.pipeline import plan_file
from rft_jax.records.lines import dump
from rft_jax.records.path import Path, write_paths
from rft_jax.select.selection import select
from rft_jax.task import grader as graders
from rft_jax.world import generate, write
from rft_jax.world.story import solve

K = 8
HOSTILE = "<script>document.title='broken'</script> & \"quotes\" \ud800 #### 7"
STAGES = (
    WorldStage(name="world", train=40, test=60, seed=0),
    TrainStage(name="sft-a", model="base", data="gold"),
    TrainStage(name="half", model="base", data="gold", settings=("fraction=1/2",)),
    SampleStage(name="paths-a", model="sft-a"),
    SampleStage(name="paths-b", model="half"),
    SelectStage(name="select-a", paths=("paths-a",), ks=(3,)),
    SelectStage(name="select-union", paths=("paths-a", "paths-b")),
    TrainStage(name="rft-k3", model="base", data="select-a", k=3),
    TrainStage(name="rft", model="base", data="select-a"),
    TrainStage(name="rft-union", model="base", data="select-union"),
    EvaluateStage(name="eval-sft", model="sft-a"),
    EvaluateStage(name="eval-half", model="half"),
    EvaluateStage(name="eval-rft-k3", model="rft-k3"),
    EvaluateStage(name="eval-rft", model="rft", against=("eval-sft",)),
    EvaluateStage(name="eval-rft-union", model="rft-union", against=("eval-rft",)),
)


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    """Returns the workdir of that run, without its report."""
    folder = tmp_path_factory.mktemp("run")
    config = PipelineConfig(
        problems="world/train.jsonl", test="world/test.jsonl", models=("base=somewhere",), k=K, temperature=0.9, seed=0,
        stages=STAGES,
    )  # fmt: skip
    (folder / "pipeline.json").write_text(json.dumps(plan_file.describe(config)))
    write.write_problem_sets(folder / "world", train=40, test=60, seed=0)
    _write_paths(folder)
    _write_selections(folder)
    _write_trainings(folder)
    _write_evaluations(folder)
    return folder


def _write_paths(folder):
    golds = generate.problems("train", 40, 0)
    stories = generate.stories("train", 40, random.Random("train 0"))
    for name, model, seed in (("paths-a", "sft-a", 1), ("paths-b", "half", 2)):
        rng = random.Random(seed)
        paths = []
        for number, story in enumerate(stories):
            for sample in range(K):
                response = HOSTILE if (number, sample) == (0, 0) else _written(story, rng)
                if (number, sample) == (0, 1):
                    response = f"<<1+1=3>>3\n{golds[0].response}"
                if (number, sample) == (0, 2):
                    response = f"As everybody knows:\n{golds[0].response}"
                if number == 3:
                    response = "Everybody says so.\n#### 424242"  # a suspect label
                paths.append(Path(number, sample, model, response, len(response) // 2, "eos"))
        (folder / name / "paths").mkdir(parents=True)
        write_paths(folder / name / "paths" / "00000-00031.000-007.jsonl", paths)
        (folder / name / "paths" / "manifest.json").write_text(json.dumps({"temperature": 0.9}))


def _written(story, rng):
    while True:
        try:
            return solve(story, rng, generate.sometimes_wrong)
        except ArithmeticError:
            continue


def _write_selections(folder):
    for name, paths, ks in (("select-a", ["paths-a"], [3]), ("select-union", ["paths-a", "paths-b"], [])):
        (folder / name).mkdir()
        select(
            str(folder / "world" / "train.jsonl"), [f"{folder}/{each}/paths/*.jsonl" for each in paths],
            str(folder / name / "selected.jsonl"), rules="paper", ks=ks, workers=1,
        )  # fmt: skip


def _write_trainings(folder):
    for name, steps in (("sft-a", 12), ("half", 6), ("rft-k3", 30), ("rft", 60), ("rft-union", 90)):
        (folder / name).mkdir()
        lines = [json.dumps({"step": step, "loss": 2 / step**0.5}) for step in range(1, steps + 1)]
        (folder / name / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 99, "lo']))
        record = {"kind": "train", "done": True, "seconds": 31.4, "command": f"python launch/train.py --workdir={name}"}
        (folder / name / "stage.json").write_text(json.dumps(record))


def _graded(grader, problems, greedy):
    pairs = [(grader.parse(each.response), text) for each, text in zip(problems, greedy, strict=True)]
    return [grade(grader, gold, judge(grader, gold, [text]), []) for gold, text in pairs]


def _write_evaluations(folder):
    problems = generate.problems("test", 60, 0)
    before = {}
    for stage in STAGES:
        if not isinstance(stage, EvaluateStage):
            continue
        rng = random.Random(stage.name)
        skill = {"eval-sft": 0.4, "eval-half": 0.3, "eval-rft-k3": 0.5}.get(stage.name, 0.6)
        greedy = [each.response if rng.random() < skill else "#### -1" for each in problems]
        graded = {name: _graded(graders.load(name), problems, greedy) for name in ("reference", "robust")}
        right = before[stage.name] = [bool(result.greedy) for result in graded["reference"]]
        metrics = {
            "name": stage.model, "problems": "test", "fingerprint": "of the test problems",
            "count": len(problems), "shots": 0, "grader": "reference",
            "graders": {grader: describe(results) for grader, results in graded.items()},
            "against": [
                {"name": other} | dataclasses.asdict(compare(before[other], right)) for other in stage.against
            ],
        }  # fmt: skip
        (folder / stage.name).mkdir()
        (folder / stage.name / "metrics.json").write_text(json.dumps(metrics))
        lines = [
            {"problem": number, "reference": dataclasses.asdict(one), "robust": dataclasses.asdict(other)}
            for number, (one, other) in enumerate(zip(graded["reference"], graded["robust"], strict=True))
        ]
        (folder / stage.name / "results.jsonl").write_bytes(b"".join(map(dump, lines)))
