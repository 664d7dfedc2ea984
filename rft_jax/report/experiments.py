"""The experiments of a workdir: what is missing of each, and which of the paper's claims they show."""

from rft_jax.evidence.verdict import holm, verdict
from rft_jax.paper.claims import Expected, claims
from rft_jax.report import comparisons
from rft_jax.report.cell import evaluated, names_of
from rft_jax.report.collect import Workdir
from rft_jax.report.page import fold, paragraph, table
from rft_jax.report.paper_tables import preset_of
from rft_jax.report.replicates import MEASURE

HEAD = ["claim", f"points of {MEASURE}", "p (Holm)", "the second is", "the paper's claim is", "seeds", "problems"]


def missing(run: Workdir) -> str:
    """Returns how much of each experiment is done, and the stages that are missing; nothing without experiments."""
    experiments = run.plan.get("experiments") or ()
    if not experiments:
        return ""
    rows, left = [], ""
    for each in experiments:
        names = [name for base in each["stages"] for name in names_of(run, base)]
        waiting = [name for name in names if not run.records.get(name, {}).get("done")]
        done = "not complete" if waiting else "complete"
        rows.append([each["name"], len(names) - len(waiting), len(names), done])
        if waiting:
            left += fold(each["name"], f"{len(waiting)} stages are missing", paragraph(", ".join(waiting)))
    return table(["experiment", "stages done", "of", ""], rows) + left


def claimed(run: Workdir) -> list[list[str]]:
    """Returns a row for each pair of models that tests a claim, below `HEAD`; none without experiments."""
    return [row for row, _ in _tested(run)]


def section(run: Workdir) -> str:
    """Returns each claim with the differences that were found, and whether they show it."""
    tested = _tested(run)
    if not tested:
        return ""
    found = [compared for _, compared in tested]
    intro = paragraph(
        f"{comparisons.MODEL} A difference is that of the second model to the first, as the claim names them; p is "
        "corrected for the pairs of one claim (Holm 1979). “Shown” is said of a difference in the paper's direction "
        "that is told apart from none, and “contradicted” of one in the other direction. Where the paper says “no "
        "better”, not told apart agrees with it, and proves nothing. " + " ".join(comparisons.on_seeds(found))
    )
    return intro + table(HEAD, [row for row, _ in tested]) + comparisons.by_seed(run, found)


def _tested(run: Workdir) -> list[tuple[list[str], comparisons.Compared]]:
    size = preset_of(run)
    rows = []
    for claim in () if size is None else claims(size):
        found = []
        for pair in claim.pairs:
            first, second = evaluated(run, pair.first), evaluated(run, pair.second)
            if first is not None and second is not None and (compared := comparisons.between(run, first, second)):
                found.append((pair, compared))
        adjusted = holm([compared.both.p for _, compared in found])
        for (pair, compared), p in zip(found, adjusted, strict=True):
            told = verdict(compared.both.difference, p)
            cells = [compared.points, f"{p:.2g}", told, _shows(pair.expected, told), compared.of_seeds]
            rows.append(([f"{claim.words} ({pair.words})", *cells, compared.of_problems], compared))
    return rows


def _shows(expected: Expected, told: str) -> str:
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
