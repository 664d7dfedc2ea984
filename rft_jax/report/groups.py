"""Accuracy by a field of the problems, model beside model."""

from typing import Any

from rft_jax.evaluate.groups import FEW, MOST_SHOWN, cell
from rft_jax.report.collect import Evaluation, Workdir
from rft_jax.report.page import paragraph, table


def by_field(run: Workdir) -> str:
    """Returns a table for each set of problems, field and measure: a row for each group, a column for each model."""
    shown: dict[tuple[str, str], list[Evaluation]] = {}
    for each in run.evaluations:
        for field in each.metrics.get("groups", {}):  # those of before have none
            shown.setdefault((each.metrics["fingerprint"], field), []).append(each)
    if not shown:
        return ""
    intro = paragraph(
        f"Percent, with 95 % intervals. Of groups with fewer than {FEW} problems, marked few, the intervals are so "
        "wide that they say little; and of twenty groups, one interval is expected to miss."
    )
    return intro + "".join(_tables(field, found) for (_, field), found in shown.items())


def _tables(field: str, evaluations: list[Evaluation]) -> str:
    first = evaluations[0].metrics
    if len(first["groups"][field]) > MOST_SHOWN:
        return paragraph(f"{first['problems']} by {field}: {len(first['groups'][field]):,} values, in metrics.json.")
    made = ""
    for measure in (name for name in evaluations[0].measures if name.startswith("maj1@")):
        head = [f"{field}, {measure}", "problems", *(each.metrics["name"] for each in evaluations)]
        columns = [{group["value"]: group for group in each.metrics["groups"][field]} for each in evaluations]
        rows = [
            [
                group["value"],
                _problems(group),
                *(cell(column.get(group["value"], {}).get(measure)) for column in columns),
            ]
            for group in first["groups"][field]
        ]
        made += table(head, rows)
    return made


def _problems(group: dict[str, Any]) -> str:
    return f"{group['count']:,}{' (few)' if group['count'] < FEW else ''}"
