"""Workdirs of finished evaluations, without models."""

import dataclasses
import json

import numpy as np

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, TrainStage
from rft_jax.evaluate.grade import Result, describe
from rft_jax.evidence.compare import compare
from rft_jax.pipeline import plan_file
from rft_jax.records.lines import dump

PROBLEMS = 400
STAGES = (
    TrainStage(name="sft", model="base", data="gold"),
    SampleStage(name="paths", model="sft"),
    SelectStage(name="set", paths=("paths",)),
    TrainStage(name="rft", model="base", data="set"),
    EvaluateStage(name="eval-base", model="base"),
    EvaluateStage(name="eval-sft", model="sft", against=("eval-base",)),
    EvaluateStage(name="eval-rft", model="rft", against=("eval-sft",)),
)


def config(**fields):
    """Returns the config of those stages."""
    return PipelineConfig(
        problems="train.jsonl", test="test.jsonl", models=("base=somewhere",), k=4, temperature=0.7, seed=0,
        controls=(), **{"stages": STAGES} | fields,
    )  # fmt: skip


def answers(seed, accuracy, count=PROBLEMS):
    """Returns which problems are solved, of which some are harder for all models."""
    hard = np.random.default_rng(99).random(count)
    return 0.7 * hard + 0.3 * np.random.default_rng(seed).random(count) < accuracy


def write(folder, made, right, clusters=None):
    """Writes the plan of a config, and evaluations.

    Args:
        folder: the workdir.
        made: the config.
        right: for each evaluation, which problems its model solves.
        clusters: of the problems.
    """
    plan = plan_file.describe(made)
    (folder / "pipeline.json").write_text(json.dumps(plan))
    for stage in plan["stages"]:
        if stage["name"] in right:
            evaluation(
                folder / stage["name"], stage["model"], right[stage["name"]], clusters,
                {name: right[name] for name in stage["against"] if name in right},
            )  # fmt: skip


def evaluation(folder, model, right, clusters=None, against=None, **more):
    """Writes an evaluation; two samples each vote as the greedy path does."""
    results = [Result(bool(each), bool(each), 2 * int(each), 2) for each in right]
    metrics = {
        "name": model, "problems": "test", "fingerprint": "f", "count": len(right), "shots": 0, "grader": "reference",
        "graders": {"reference": describe(results, clusters)},
        "against": [
            {"name": name, "workdir": str(folder.parent / name)} | dataclasses.asdict(compare(other, right, clusters))
            for name, other in (against or {}).items()
        ],
        "cluster": {"field": "template", "count": len(set(clusters))} if clusters else None,
    }  # fmt: skip
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics | more))
    lines = [
        {"problem": number, "reference": dataclasses.asdict(result)}
        | ({"cluster": clusters[number]} if clusters else {})
        for number, result in enumerate(results)
    ]
    (folder / "results.jsonl").write_bytes(b"".join(map(dump, lines)))
