"""What the comparisons of a pipeline can show, told before it runs."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from rft_jax.config import EvaluateStage, PipelineConfig
from rft_jax.errors import UserError
from rft_jax.evaluate.outcome import METRICS, read_evaluation
from rft_jax.evidence import power
from rft_jax.evidence.crossed import Array
from rft_jax.paper.claims import claims
from rft_jax.paper.preset import load
from rft_jax.pipeline import stage_settings
from rft_jax.pipeline.estimate import problems_like
from rft_jax.pipeline.expansion import expanded

Pair = tuple[str, str]


def lines(config: PipelineConfig, workdir: Path) -> Iterator[str]:
    """Yields for each comparison the smallest difference that it can show, and what that assumes.

    Args:
        config: of the pipeline.
        workdir: where it runs; what finished evaluations there show is taken from them.
    """
    seeds, single = config.seeds, expanded(dataclasses.replace(config, seeds=1)).config
    evaluations = {stage.name: stage for stage in single.stages if isinstance(stage, EvaluateStage)}
    count = functools.cache(lambda source: problems_like(source, single, workdir)[1])
    seen, assumption = finished(workdir), False
    families = _corrected_together(config, evaluations)
    asked = {name: count(evaluations[name].problems or single.test) for family in families for name, _ in family}
    for family in families:
        pairs = [pair for pair in family if asked[pair[0]] > 1]
        if pairs and family is families[0]:
            yield ""
        for pair in pairs:
            assumed = power.observed([seen[pair]]) if pair in seen else power.DEFAULT
            assumption |= pair not in seen
            yield _line(pair, asked[pair[0]], seeds, len(pairs), assumed, seen=pair in seen)
    if not any(problems > 1 for problems in asked.values()):
        return
    if assumption:
        yield _assumption(seeds)
    if seeds == 1:
        yield "one seed: a difference that is this seed's own luck is not told from one that others would have"
    for field in {stage_settings.evaluation(single, evaluations[name]).cluster for name in asked} - {None}:
        yield f"these figures take the problems as independent; by {field}, as they will be compared, it needs more"


def _corrected_together(config: PipelineConfig, evaluations: Mapping[str, EvaluateStage]) -> list[list[Pair]]:
    """Returns the comparisons, second and first evaluation, that the report corrects together."""
    if not config.experiments:
        return [[(name, other) for name, stage in evaluations.items() for other in stage.against]]
    tested = (
        [(pair.second, pair.first) for pair in claim.pairs if {pair.first, pair.second} <= evaluations.keys()]
        for claim in claims(load(config.experiments[0].size))
    )
    return [pairs for pairs in tested if pairs]


def _line(pair: Pair, problems: int, seeds: int, compared: int, assumed: power.Assumption, *, seen: bool) -> str:
    least = power.smallest(problems, seeds, compared, assumed)
    up_to = f" of up to {100 * assumed.differing:.0f} points" if assumed.differing else ""
    shown = f"no difference{up_to}" if least is None else f"differences of at least {100 * least:.1f} points"
    return (
        f"{pair[0]} against {pair[1]}: with {_count(problems, 'problem')} and {_count(seeds, 'seed')}, {shown} can be "
        f"shown (power {power.POWER}, {_count(compared, 'comparison')}"
        + (f"; {assumed.differing:.1%} differ in what is finished)" if seen else ")")
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _assumption(seeds: int) -> str:
    assumed = power.DEFAULT
    told = f"assuming that only one of two models solves {assumed.differing:.0%} of the problems"
    if seeds == 1:
        return told
    return (
        f"{told}, that {assumed.lasting:.0%} of this variance is the same for all seeds, and that the difference has a "
        f"standard deviation over seeds of {100 * assumed.seeds:.1f} points"
    )


def finished(workdir: Path) -> dict[Pair, Array]:
    """Returns the differences (S, n), of the seeds that are finished, of each comparison in a workdir's plan."""
    try:
        stages = json.loads((workdir / "pipeline.json").read_text(encoding="utf-8"))["stages"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    base = {stage["name"]: stage.get("base") or stage["name"] for stage in stages}
    found: dict[Pair, list[Array]] = {}
    for stage in (stage for stage in stages if stage["kind"] == "evaluate"):
        for other in stage["against"]:
            try:
                metrics = json.loads((workdir / stage["name"] / METRICS).read_text(encoding="utf-8"))
                (one, before), (two, after) = (
                    read_evaluation(workdir / name, metrics["grader"]) for name in (other, stage["name"])
                )
            except (OSError, ValueError, KeyError, UserError):
                continue  # not finished
            if one["fingerprint"] == two["fingerprint"] and len(before) == len(after) > 1:
                values = np.asarray(after, np.float64) - np.asarray(before, np.float64)
                found.setdefault((base[stage["name"]], base.get(other, other)), []).append(values)
    return {pair: np.stack(rows) for pair, rows in found.items() if len({len(row) for row in rows}) == 1}
