"""The experiments of a workdir: what is missing of each, and which of the paper's claims they show."""

from rft_jax.evidence.compare import Comparison, compare
from rft_jax.evidence.verdict import holm, verdict
from rft_jax.paper.claims import Claim
from rft_jax.paper.claims import claims as claimed
from rft_jax.report.cell import replicates, right
from rft_jax.report.collect import Workdir
from rft_jax.report.page import fold, paragraph, table
from rft_jax.report.paper_tables import preset_of


def missing(run: Workdir) -> str:
    """Returns how much of each experiment is done, and the stages that are missing; nothing without experiments."""
    experiments = run.plan.get("experiments") or ()
    if not experiments:
        return ""
    rows, left = [], ""
    for each in experiments:
        names = [name for base in each["stages"] for name in replicates(run, base)]
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
    found: list[tuple[Claim, Comparison]] = []
    for claim in claimed(size):
        first, second = right(run, claim.first), right(run, claim.second)
        if first is None or second is None or (len(first) != len(second) and 1 not in (len(first), len(second))):
            continue
        if first.shape[1] == second.shape[1]:
            found.append((claim, compare(first, second)))
    adjusted = holm([comparison.p for _, comparison in found])
    rows = []
    for (claim, comparison), p in zip(found, adjusted, strict=True):
        told = verdict(comparison.difference, p)
        rows.append([claim.words, _points(comparison), f"{p:.2g}", told, _shows(claim, told)])
    intro = paragraph(
        "Points of maj1@1 by which the second model is better, over all seeds and problems, with 95 % intervals; p by "
        "Holm's correction for all rows. “Shown” is said of a difference in the paper's direction that is told apart "
        "from none, and “contradicted” of one in the other direction. Where the paper says “no better”, not told apart "
        "agrees with it, and proves nothing."
    )
    return intro + table(["claim", "points", "p", "the second is", "the paper's claim is"], rows) if rows else ""


def _points(comparison: Comparison) -> str:
    mean, low, high = (
        100 * end for end in (comparison.difference.mean, comparison.difference.low, comparison.difference.high)
    )
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _shows(claim: Claim, told: str) -> str:
    match claim.expected, told:
        case None, _:
            return "not in the paper"
        case "better", "better":
            return "shown"
        case "better", "worse":
            return "contradicted"
        case "no better", "better":
            return "contradicted"
        case "no better", _:
            return "not contradicted"
        case _:
            return "not shown"
