"""The experiments of a workdir: what is missing of each, and which of the paper's claims they show."""

import dataclasses

from rft_jax.evidence.compare import Comparison, compare
from rft_jax.evidence.intervals import percent
from rft_jax.evidence.verdict import holm, verdict
from rft_jax.paper import claims as paper_claims
from rft_jax.report.cell import MEASURE, evaluated, names_of
from rft_jax.report.collect import Workdir
from rft_jax.report.page import fold, paragraph, table
from rft_jax.report.paper_tables import preset_of
from rft_jax.report.replicates import Replicates, measured, seed_of


def missing(run: Workdir) -> str:
    """Returns how much of each experiment is done, and the stages that are missing; nothing without experiments."""
    experiments = run.plan.get("experiments") or ()
    if not experiments:
        return ""
    rows, left = [], ""
    for each in experiments:
        names = [name for base in each["stages"] for name in names_of(run, base)]
        waiting = [name for name in names if not run.records.get(name, {}).get("done")]
        rows.append(
            [each["name"], len(names) - len(waiting), len(names), "complete" if not waiting else "not complete"]
        )
        if waiting:
            left += fold(each["name"], f"{len(waiting)} stages are missing", paragraph(", ".join(waiting)))
    return table(["experiment", "stages done", "of", ""], rows) + left


def claims(run: Workdir) -> str:
    """Returns each claim with the difference that was found, and whether that shows it."""
    size = preset_of(run)
    if size is None:
        return ""
    rows = []
    for claim in paper_claims.claims(size):
        found = []
        for each in claim.comparisons:
            first, second = evaluated(run, each.first), evaluated(run, each.second)
            if first is not None and second is not None and (compared := _compared(run, first, second)) is not None:
                found.append((each.words, compared))
        adjusted = holm([compared.p for _, compared in found])
        for (words, compared), p in zip(found, adjusted, strict=True):
            told = verdict(compared.difference, p)
            shows = _shows(claim.expected, told)
            rows.append([f"{claim.words} ({words})", _points(compared), f"{p:.2g}", told, shows])
    intro = paragraph(
        "Points of maj1@1 by which the second model is better, over all seeds and problems, with 95 % intervals; p is "
        "corrected for the comparisons of one claim (Holm). “Shown” is said of a difference in the paper's direction "
        "that is told apart from none, and “contradicted” of one in the other direction. Where the paper says “no "
        "better”, not told apart agrees with it, and proves nothing."
    )
    return intro + table(["claim", "points", "p", "the second is", "the paper's claim is"], rows) if rows else ""


def _compared(run: Workdir, first: Replicates, second: Replicates) -> Comparison | None:
    """Returns a comparison over the seeds that both have; a model that all seeds share stands beside each of them."""
    one, other = ({seed_of(run, each): each for each in group.evaluations} for group in (first, second))
    if not any(_is_shared(run, group) for group in (first, second)):
        common = sorted(one.keys() & other.keys())
        one, other = ({seed: group[seed] for seed in common} for group in (one, other))
    if not one or not other:
        return None
    grader = second.first.grader
    before, after = (
        [[bool(right) for right in measured(evaluation, grader, MEASURE)] for evaluation in group.values()]
        for group in (one, other)
    )
    return compare(before, after)


def _is_shared(run: Workdir, group: Replicates) -> bool:
    return run.stage(group.first.name).get("replicate") is None


def _points(comparison: Comparison) -> str:
    return percent(dataclasses.asdict(comparison.difference), signed=True)


def _shows(expected: paper_claims.Expected, told: str) -> str:
    match expected, told:
        case None, _:
            return "not in the paper"
        case "better", "better":
            return "shown"
        case ("better", "worse") | ("no better", "better"):
            return "contradicted"
        case "no better", _:
            return "not contradicted"
        case _:
            return "not shown"
