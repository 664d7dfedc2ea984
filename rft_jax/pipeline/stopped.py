"""The stages that are skipped because a check of a round says stop, and what is left then."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rft_jax.pipeline.stage import Stage
from rft_jax.rounds import record

ROUND = "round"  # the kind of a stage that checks


def skipped(stages: Sequence[Stage], done: Collection[str], workdir: Path) -> dict[str, str]:
    """Returns the stages that are skipped, each with the reason; the report never is.

    Args:
        stages: of the pipeline, in order.
        done: those that are done, with all that they need: what other checks say may still change.
        workdir: of the pipeline.
    """
    says: dict[str, str] = {}
    for name in (stage.name for stage in stages if stage.kind == ROUND and stage.name in done):
        if stop := record.read(workdir / name / record.FILE).stop:
            says[name] = f"{name} says stop ({stop})"
    found: dict[str, str] = {}
    for stage in stages:
        reasons = [says.get(check) for check in stage.unless]
        reasons += [found.get(before) for before in (*stage.after, *stage.unless)]
        if stage.kind != "report" and (reason := next(filter(None, reasons), None)):
            found[stage.name] = reason
    return found


def told(found: Mapping[str, str], before: Collection[str]) -> list[str]:
    """Returns a line for each check that says stop: what it skips, without what was skipped before."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in found.items():
        if name not in before:
            by_reason.setdefault(reason, []).append(name)
    return [f"{reason}: {', '.join(names)} skipped" for reason, names in by_reason.items()]


def left(stage: Stage, found: Collection[str]) -> Stage:
    """Returns a stage that reads only what is there: the report, without the records of what is skipped."""
    if stage.kind != "report" or not set(stage.after) & set(found):
        return stage
    [(what, patterns)] = stage.reads.items()
    kept = [(name, pattern) for name, pattern in zip(stage.after, patterns, strict=True) if name not in found]
    return dataclasses.replace(
        stage, after=tuple(name for name, _ in kept), reads={what: tuple(pattern for _, pattern in kept)}
    )
