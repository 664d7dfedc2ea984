"""An evaluation: sample, grade, describe, compare."""

import dataclasses
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import jax

from rft_jax import config_checks, runtime
from rft_jax.config import EvaluateConfig
from rft_jax.data import prompt_format
from rft_jax.distributed import agreement
from rft_jax.errors import UserError
from rft_jax.evaluate import groups, outcome
from rft_jax.evaluate.audit import audit
from rft_jax.evaluate.grade import Answer, Result, describe, grade, judge, responses_of
from rft_jax.evaluate.outcome import read_evaluation
from rft_jax.evidence.compare import compare
from rft_jax.evidence.intervals import FEW_CLUSTERS, percent
from rft_jax.hf import located
from rft_jax.provenance import FIELD
from rft_jax.records import manifest
from rft_jax.records.lines import dump
from rft_jax.records.path import read_paths
from rft_jax.records.problem import Problem, read_problems
from rft_jax.sample.loop import sample
from rft_jax.task import auditing
from rft_jax.task import grader as graders
from rft_jax.task import task as tasks
from rft_jax.task.gold import gold_answers
from rft_jax.task.grader import Grader

VOTES = "votes"  # subfolder of the samples; the greedy paths are in the workdir itself


def evaluate(config: EvaluateConfig, workdir: Path) -> str:
    """Writes metrics.json, results.jsonl and the paths into `workdir`; resumes where it was stopped.

    Returns:
        A table of the accuracies; empty on processes other than 0.

    Raises:
        UserError: a setting, the model or the problems are wrong, or an evaluation in `against` has other problems.
    """
    config_checks.evaluation(config)
    config = located.pinned_in(config)
    if config.problems is None:
        raise UserError("nothing to evaluate on: give --config.problems=FILE, problems with gold answers")
    if config.model is None:
        raise UserError("nothing to evaluate: give --config.model=DIR, a Hugging Face folder, or hf:ORG/NAME")
    mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
    task = tasks.load(prompt_format.task_of(located.model(config.model), config.task))
    references, left_out = auditing.choose(task, config.grader, config.audit)
    in_use, *auditors = map(graders.load, references)
    problems = read_problems(config.problems, task.reader)
    gold = gold_answers(problems, in_use, config.problems)
    grouped = groups.read(config.problems, config.groups, task.groups)
    clusters = groups.read(config.problems, (config.cluster,), ())[config.cluster] if config.cluster else None
    asked = manifest.of_problems(problems)["fingerprint"]
    others = [read_evaluation(located.whole(folder), in_use.name) for folder in config.against]
    for folder, (metrics, _) in zip(config.against, others, strict=True):
        if metrics["fingerprint"] != asked:
            raise UserError(
                f"{folder} is an evaluation on other problems ({metrics['problems']}), so there is nothing to compare"
            )
    manifest.check(_files(workdir, config.k), problems, config.problems)  # left by an earlier start

    agreement.agree(agreement.settings(config))  # on the votes too, before the greedy paths are sampled
    sample(dataclasses.replace(config, k=1, temperature=0.0), workdir)
    if config.k:
        sample(config, workdir / VOTES)
    if jax.process_index() > 0:
        return ""

    name = prompt_format.name_of(located.model(config.model), config.name)
    unchecked = manifest.check(_files(workdir, config.k), problems, config.problems)
    greedy = _responses(workdir, len(problems), 1)
    voting = _responses(workdir / VOTES, len(problems), config.k) if config.k else [[] for _ in problems]
    responses = [first + samples for first, samples in zip(greedy, voting, strict=True)]
    judged = {in_use.name: _judged(in_use, gold, responses)}
    results = {in_use.name: _graded(in_use, gold, judged[in_use.name])}
    for auditor in auditors:
        readable = [auditor.parse(problem.response) for problem in problems]
        judged[auditor.name] = _judged(auditor, readable, responses)
        results[auditor.name] = _graded(auditor, readable, judged[auditor.name])
    sources = [{"model": name, "sample": 0, "kind": "greedy"}]
    sources += [{"model": name, "sample": number, "kind": "vote"} for number in range(config.k)]
    right = [bool(result and result.greedy) for result in results[in_use.name]]
    ours = [answers or [] for answers in judged[in_use.name]]
    metrics = {
        "model": config.model,
        "name": name,
        "problems": config.problems,
        "fingerprint": asked,
        "count": len(problems),
        "shots": config.shots,
        "temperature": config.temperature if config.k else None,
        "task": task.name,
        "grader": in_use.name,
        "graders": {grader: describe(graded, clusters) for grader, graded in results.items()},
        "audits": {
            auditor.name: audit(in_use.name, auditor.name, ours, judged[auditor.name], sources) for auditor in auditors
        },
        "against": [
            {"name": other["name"], "workdir": folder} | dataclasses.asdict(compare(before, right, clusters))
            for folder, (other, before) in zip(config.against, others, strict=True)
        ],
        "groups": groups.describe(grouped, results[in_use.name], clusters),
        "cluster": {"field": config.cluster, "count": len(set(clusters))} if clusters else None,
        "unchecked_files": len(unchecked),
        "left_out": left_out,
        FIELD: runtime.describe(mesh),
    }
    outcome.write(workdir, metrics, [dump(line) for line in _lines(problems, results, grouped, clusters)])
    return table(metrics)


def _files(workdir: Path, k: int) -> list[Path]:
    folders = [workdir, *([workdir / VOTES] if k else [])]
    return [file for folder in folders for file in sorted((folder / "paths").glob("*.jsonl"))]


def _responses(workdir: Path, problems: int, k: int) -> list[list[str]]:
    paths = (path for file in _files(workdir, 0) for path in read_paths(file, problems))
    return responses_of(paths, problems, k)


def _judged(
    grader: Grader, gold: Sequence[Hashable | None], responses: Sequence[Sequence[str]]
) -> list[list[Answer] | None]:
    """Returns each problem's answers, the greedy one first; None where the grader cannot read the gold answer."""
    return [
        None if known is None else judge(grader, known, texts) for known, texts in zip(gold, responses, strict=True)
    ]


def _graded(
    grader: Grader, gold: Sequence[Hashable | None], judged: Sequence[Sequence[Answer] | None]
) -> list[Result | None]:
    return [
        None if answers is None else grade(grader, known, answers[:1], answers[1:])
        for known, answers in zip(gold, judged, strict=True)
    ]


def _lines(
    problems: Sequence[Problem],
    results: dict[str, list[Result | None]],
    grouped: dict[str, list[str]],
    clusters: Sequence[str] | None,
) -> list[dict[str, Any]]:
    return [
        {"problem": number}
        | {
            grader: None if (result := graded[number]) is None else dataclasses.asdict(result)
            for grader, graded in results.items()
        }
        | ({"groups": {name: values[number] for name, values in grouped.items()}} if grouped else {})
        | ({"cluster": clusters[number]} if clusters else {})
        for number in range(len(problems))
    ]


def table(metrics: dict[str, Any]) -> str:
    """Returns a table for the terminal: accuracies in percent with their 95 % intervals, and the comparisons."""
    lines = [f"{metrics['name']} on {metrics['count']:,} problems, {metrics['shots']} shots; 95 % intervals"]
    lines += by_cluster(metrics)
    lines.append(f"{'':10}" + "".join(f"{grader:>24}" for grader in metrics["graders"]))
    for measure in metrics["graders"][metrics["grader"]]:
        cells = (measures.get(measure) for measures in metrics["graders"].values())
        lines.append(f"{measure:10}" + "".join(f"{'–' if cell is None else percent(cell):>24}" for cell in cells))
    for name, found in metrics["audits"].items():
        unread = found["unreadable_gold_answers"]
        lines.append(
            f"{metrics['grader']} and {name} disagree on {found['disagree']:,} of {found['paths']:,} paths"
            + (f"; {name} cannot read {unread:,} gold answers, which are left out" if unread else "")
        )
    for other in metrics["against"]:
        lines.append(
            f"against {other['name']}: {percent(other['difference'], signed=True)} points of maj1@1; solved only here "
            f"{other['only_second']}, only there {other['only_first']}; p = {other['p']:.2g}"
        )
    lines += [*groups.lines(metrics["groups"]), *metrics["left_out"]]
    if metrics["unchecked_files"]:
        lines.append(f"{metrics['unchecked_files']:,} path files have no manifest that names their problems: unchecked")
    return "\n".join(lines)


def by_cluster(metrics: dict[str, Any]) -> list[str]:
    """Returns a line on the clusters that the intervals go by, if they do."""
    cluster = metrics.get("cluster")  # those of before have none
    if not cluster:
        return []
    few = f": fewer than {FEW_CLUSTERS}, so they are a guess" if cluster["count"] < FEW_CLUSTERS else ""
    return [f"intervals by {cluster['field']}, {cluster['count']:,} clusters{few}"]
