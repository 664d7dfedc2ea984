"""An evaluation: sample, grade, describe, compare."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from rft_jax.config import EvaluateConfig
from rft_jax.errors import UserError
from rft_jax.evaluate.grade import Result, describe, grade, responses_of
from rft_jax.evaluate.intervals import compare
from rft_jax.files import whole_file
from rft_jax.records.lines import dump, read_objects, write_lines
from rft_jax.records.path import read_paths
from rft_jax.records.problem import Problem, read_problems
from rft_jax.sample import fingerprint
from rft_jax.sample.loop import sample
from rft_jax.task.answer import GRADERS

METRICS, RESULTS = "metrics.json", "results.jsonl"
VOTES = "votes"  # the folder of the samples; the greedy paths lie in the workdir itself


def evaluate(config: EvaluateConfig, workdir: Path) -> str:
    """Writes metrics.json, results.jsonl and the paths into `workdir`, going on where it was stopped.

    Returns:
        A table of the accuracies.

    Raises:
        UserError: a setting, the model or the problems are wrong, or another evaluation is of other problems.
    """
    if config.problems is None:
        raise UserError("nothing to evaluate on: give --config.problems=FILE, problems with gold answers")
    if config.k < 0:
        raise UserError(f"k = {config.k}: 0 for the greedy path only, or how many samples vote")
    if config.k and config.temperature <= 0:
        raise UserError(f"temperature {config.temperature}: k = {config.k} samples would all be the greedy path")
    problems = read_problems(config.problems)
    asked = fingerprint.of_texts([problem.question for problem in problems])
    others = [read_evaluation(Path(folder)) for folder in config.against]
    for folder, (metrics, _) in zip(config.against, others, strict=True):
        if metrics["fingerprint"] != asked:
            raise UserError(f"{folder} is an evaluation on other problems ({metrics['problems']}): no pairs to compare")

    sample(dataclasses.replace(config, k=1, temperature=0.0), workdir)
    if config.k:
        sample(config, workdir / VOTES)
    if jax.process_index() > 0:
        return ""

    greedy = _responses(workdir, len(problems), 1)
    voting = _responses(workdir / VOTES, len(problems), config.k) if config.k else [[]] * len(problems)
    results = {
        grader: [
            grade(grader, problem, first[0], samples)
            for problem, first, samples in zip(problems, greedy, voting, strict=True)
        ]
        for grader in GRADERS
    }
    metrics = {
        "model": config.model,
        "name": config.name or Path(str(config.model)).resolve().name,
        "problems": config.problems,
        "fingerprint": asked,
        "count": len(problems),
        "shots": config.shots,
        "temperature": config.temperature if config.k else None,
        "graders": {grader: describe(graded) for grader, graded in results.items()},
        "against": [
            {"name": other["name"], "workdir": folder}
            | dataclasses.asdict(compare(before, _right(results["reference"])))
            for folder, (other, before) in zip(config.against, others, strict=True)
        ],
    }
    write_lines(workdir / RESULTS, (dump(line) for line in _lines(problems, results)))
    with whole_file(workdir / METRICS) as file:
        file.write_text(json.dumps(metrics, indent=1) + "\n")
    return table(metrics)


def read_evaluation(workdir: Path) -> tuple[dict[str, Any], list[bool]]:
    """Returns the metrics of an evaluation, and for each problem whether the greedy path is right (reference grader).

    Raises:
        UserError: the folder holds no finished evaluation.
    """
    if not (workdir / METRICS).is_file() or not (workdir / RESULTS).is_file():
        raise UserError(f"{workdir} holds no finished evaluation: no {METRICS} and {RESULTS} there")
    try:
        metrics = json.loads((workdir / METRICS).read_text())
        if missing := {"name", "problems", "fingerprint"} - metrics.keys():
            raise KeyError(*sorted(missing))
        right = [bool(line["reference"]["greedy"]) for _, line in read_objects(workdir / RESULTS)]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{workdir} holds no evaluation of this version: {type(error).__name__} {error}") from None
    return metrics, right


def _responses(workdir: Path, problems: int, k: int) -> list[list[str]]:
    paths = (path for file in sorted((workdir / "paths").glob("*.jsonl")) for path in read_paths(file, problems))
    return responses_of(paths, problems, k)


def _right(results: Sequence[Result]) -> list[bool]:
    return [bool(result.greedy) for result in results]


def _lines(problems: Sequence[Problem], results: dict[str, list[Result]]) -> list[dict[str, Any]]:
    return [
        {"problem": number} | {grader: dataclasses.asdict(graded[number]) for grader, graded in results.items()}
        for number in range(len(problems))
    ]


def table(metrics: dict[str, Any]) -> str:
    """Returns the accuracies, in percent with their 95 % intervals, and the comparisons, for the terminal."""
    lines = [f"{metrics['name']} on {metrics['count']:,} problems, {metrics['shots']} shots; 95 % intervals"]
    lines.append(f"{'':10}" + "".join(f"{grader:>24}" for grader in metrics["graders"]))
    for measure in metrics["graders"][GRADERS[0]]:
        cells = (metrics["graders"][grader][measure] for grader in metrics["graders"])
        lines.append(f"{measure:10}" + "".join(f"{percent(cell):>24}" for cell in cells))
    for other in metrics["against"]:
        lines.append(
            f"against {other['name']}: {percent(other['difference'], signed=True)} points of maj1@1, only here "
            f"{other['only_second']}, only there {other['only_first']}, McNemar p = {other['p']:.2g}"
        )
    return "\n".join(lines)


def percent(estimate: dict[str, float], signed: bool = False) -> str:
    """Returns `41.6 (38.9 to 44.3)` for shares 0.416, 0.389, 0.443."""
    sign = "+" if signed else ""
    mean, low, high = (f"{100 * estimate[name]:{sign}.1f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"
