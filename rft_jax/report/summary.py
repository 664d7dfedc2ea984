"""The main figures of a run, for the terminal."""

from pathlib import Path

from rft_jax.report.collect import Workdir, collect
from rft_jax.report.sections import interval, training_of
from rft_jax.select import rules


def table(folder: Path) -> str:
    """Returns the accuracies with intervals, the paired differences, and the distinct paths at each k.

    Raises:
        UserError: there is nothing to report.
    """
    run = collect(folder)
    parts = []
    for problems, part in run.by_problems():
        parts += [_accuracies(part, problems), _differences(part)]
    parts.append(_paths(run))
    return "\n\n".join(part for part in parts if part)


def _accuracies(run: Workdir, problems: str) -> str:
    rows = [["model", "training rows", "steps", "maj1@1, %"]]
    for each in run.evaluations:
        model = each.metrics["name"]
        rows.append([model, *training_of(run, model), interval(each.measures["maj1@1"])])
    count = run.evaluations[0].metrics["count"] if run.evaluations else 0
    title = problems or f"{count:,} held-out problems"
    return f"{title}, 95 % intervals\n{_aligned(rows)}" if len(rows) > 1 else ""


def _differences(run: Workdir) -> str:
    rows = [["on the same problems", "points", "McNemar p"]]
    for each in run.evaluations:
        for other in each.metrics["against"]:
            name = f"{each.metrics['name']} against {other['name']}"
            rows.append([name, interval(other["difference"], signed=True), f"{other['p']:.1g}"])
    return _aligned(rows) if len(rows) > 1 else ""


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
