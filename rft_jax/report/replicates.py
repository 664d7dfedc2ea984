"""Evaluations that differ in their seed alone, taken together."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from rft_jax.evidence.intervals import pass_at_k, percent, share
from rft_jax.report.collect import Evaluation, Workdir

MEASURE = "maj1@1"  # that models are compared by


@dataclasses.dataclass(frozen=True)
class Replicates:
    """The evaluations of one model with several seeds, or a single one.

    Attributes:
        model: the model's name, without its seed.
        evaluations: in the order of the seeds.
        planned: how many there are to be.
    """

    model: str
    evaluations: list[Evaluation]
    planned: int

    @property
    def first(self) -> Evaluation:
        """The one of the first seed."""
        return self.evaluations[0]

    def estimate(self, grader: str, measure: str) -> Mapping[str, float] | None:
        """Returns the mean over seeds and problems with its interval; None where a seed lacks the measure."""
        each = [evaluation.metrics["graders"].get(grader, {}).get(measure) for evaluation in self.evaluations]
        if None in each or len(each) == 1:
            return each[0] if len(each) == 1 else None
        rows = np.asarray([measured(evaluation, grader, measure) for evaluation in self.evaluations], np.float64)
        graded = np.asarray(~np.isnan(rows).any(axis=0))
        named = clusters(self.first)
        chosen = None if named is None else list(itertools.compress(named, graded.tolist()))
        return dataclasses.asdict(share(rows[:, graded], chosen))

    def told(self, grader: str, measure: str) -> str:
        """Returns that in words, with the number of seeds where it is not the planned one."""
        found, there = self.estimate(grader, measure), len(self.evaluations)
        return percent(found) + (f", {there} of {self.planned} seeds" if found and there < self.planned else "")


def replicates(run: Workdir) -> list[Replicates]:
    """Returns the evaluations, those of one base together, in their order."""
    found: dict[str, list[Evaluation]] = {}
    for each in run.evaluations:
        found.setdefault(base_of(run, each.name), []).append(each)
    planned = [stage.get("base") for stage in run.plan.get("stages", ()) if stage.get("replicate") is not None]
    return [
        Replicates(
            base_of(run, each[0].metrics["name"]) if base in planned else each[0].metrics["name"],
            each,
            max(len(each), planned.count(base)),
        )
        for base, each in found.items()
    ]


def base_of(run: Workdir, name: str) -> str:
    """Returns the name of a stage without its seed."""
    return str(run.stage(name).get("base") or name)


def is_shared(run: Workdir, evaluation: Evaluation) -> bool:
    """Returns whether all seeds of the plan share an evaluation, as they do one of the model at the start."""
    stage = run.stage(evaluation.name)
    return bool(stage) and stage.get("replicate") is None


def seed_of(run: Workdir, evaluation: Evaluation) -> int:
    """Returns the number of an evaluation's replicate, from 0."""
    return int(run.stage(evaluation.name).get("replicate") or 0)


def measured(evaluation: Evaluation, grader: str, measure: str) -> list[float | None]:
    """Returns a measure of each problem, from 0 to 1; None where the grader cannot read the gold answer."""
    kind, _, k = measure.partition("@")
    results = [line[grader] for line in evaluation.results]

    def value(result: Mapping[str, Any]) -> float:
        if kind == "pass":
            return pass_at_k(result["samples"], result["right"], int(k))
        return float(bool(result["greedy" if k == "1" else "vote"]))

    return [None if result is None else value(result) for result in results]


def clusters(evaluation: Evaluation) -> list[str] | None:
    """Returns the cluster of each problem, where the evaluation goes by clusters."""
    if not evaluation.metrics.get("cluster"):
        return None
    return [str(line["cluster"]) for line in evaluation.results]
