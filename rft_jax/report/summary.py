"""The main figures of a run, for the terminal."""

from pathlib import Path

from rft_jax.report import comparisons, experiments, rounds
from rft_jax.report.collect import Workdir, collect
from rft_jax.report.replicates import replicates
from rft_jax.report.sections import training_of
from rft_jax.select import rules


def table(folder: Path) -> str:
    """Returns the accuracies with intervals, the paired differences, the distinct paths at each k, and the rounds.

    Raises:
        UserError: there is nothing to report.
    """
    run = collect(folder)
    parts = []
    for problems, part in run.by_problems():
        parts.append(_accuracies(part, problems))
    parts += [_differences(run), _paths(run), rounds.in_text(run)]
    return "\n\n".join(part for part in parts if part)


def _accuracies(run: Workdir, problems: str) -> str:
    rows = [["model", "training rows", "steps", "maj1@1, %"]]
    for each in replicates(run):
        figure = each.told(each.first.grader, comparisons.MEASURE)
        rows.append([each.model, *training_of(run, each.first.metrics["name"]), figure])
    count = run.evaluations[0].metrics["count"] if run.evaluations else 0
    title = problems or f"{count:,} held-out problems"
    return f"{title}, 95 % intervals\n{_aligned(rows)}" if len(rows) > 1 else ""


def _differences(run: Workdir) -> str:
    if run.plan.get("experiments"):
        claims = experiments.claimed(run)
        return _aligned([experiments.HEAD, *claims]) if claims else ""
    found = comparisons.compared(run)
    if not found:
        return ""
    wide = _aligned([comparisons.HEAD, *comparisons.rows(found)])
    return "\n".join([wide, *comparisons.notes(found)])


def _paths(run: Workdir) -> str:
    rows = []
    for selection in run.selections:
        if rules.repeats_lists(selection.statistics["rules"]):
            continue
        at_k = selection.statistics["united"]["at_k"]
        rows += [[selection.name, *(f"k={k}: {values['distinct']:.2f}" for k, values in at_k.items())]]
        if all("distinct_canonical" in values for values in at_k.values()):
            rows += [["  canonical", *(f"{values['distinct_canonical']:.2f}" for values in at_k.values())]]
    width = max(map(len, rows), default=0)
    padded = [row + [""] * (width - len(row)) for row in rows]
    return f"distinct right paths per problem and model\n{_aligned(padded)}" if rows else ""


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells)
        ).rstrip()
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )
