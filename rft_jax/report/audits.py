"""The section on graders: where the auditors disagree with the grader in use."""

from collections.abc import Iterator
from typing import Any

from rft_jax.report.collect import Workdir
from rft_jax.report.page import fold, paragraph, table


def disagreements(run: Workdir) -> str:
    """Returns how often each auditor disagrees in each selection and evaluation, with examples."""
    found = list(_audits(run))
    if not found:
        return ""
    rows, examples = [], ""
    for stage, grader, auditor, audit in found:
        share = "–" if audit["share"] is None else f"{audit['share']:.2%}"
        unread = audit["unreadable_gold_answers"]
        rows.append([stage, grader, auditor, f"{audit['disagree']:,} of {audit['paths']:,}", share, unread or "–"])
        if audit["examples"]:
            examples += fold(
                f"{stage}: {grader} and {auditor}",
                f"{len(audit['examples'])} examples",
                _examples(grader, auditor, audit),
            )
    intro = paragraph(
        "One grader decides which paths are right; the auditors judge every path as well. Problems whose gold answer "
        "an auditor cannot read are not counted for it."
    )
    head = ["stage", "decides", "audits", "paths on which they disagree", "share", "gold answers unread"]
    return intro + table(head, rows) + examples


def _audits(run: Workdir) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for selection in run.selections:
        for auditor, audit in selection.statistics["graders"].items():
            yield selection.name, selection.statistics["grader"], auditor, audit
    for evaluation in run.evaluations:
        for auditor, audit in evaluation.metrics.get("audits", {}).items():
            yield evaluation.name, evaluation.grader, auditor, audit


def _examples(grader: str, auditor: str, audit: dict[str, Any]) -> str:
    rows = []
    for each in audit["examples"]:
        answers = [each["answers"][name] for name in (grader, auditor)]
        shown = ["–" if answer is None else answer for answer in answers]
        rows.append([each["problem"], f"{each['model']}, {each['sample']}", *shown, each["correct_by"]])
    return table(["problem", "model, sample", grader, auditor, "right by"], rows)
