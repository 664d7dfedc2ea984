"""Writes the report on a workdir."""

from pathlib import Path

from rft_jax.files import whole_file
from rft_jax.report import (
    audits,
    budgets,
    comparisons,
    contamination,
    experiments,
    groups,
    losses,
    paper_figures,
    paper_tables,
    rounds,
    sections,
)
from rft_jax.report.collect import collect
from rft_jax.report.page import page


def write(folder: Path) -> Path:
    """Writes report.html into a workdir and returns its path; `summary.table` is the short version in text.

    Raises:
        UserError: there is nothing to report, or a file cannot be read or written.
    """
    run = collect(folder)
    parts = [
        ("Experiments", experiments.missing(run)),
        ("The paper's tables", paper_tables.tables(run)),
        ("The paper's figures", paper_figures.figures(run)),
        ("The paper's claims", experiments.section(run)),
        *((_on("Results", name), sections.results(part)) for name, part in run.by_problems()),
        # The claims are the comparisons of experiments; a second correction would give second verdicts.
        ("Comparisons", "" if run.plan.get("experiments") else comparisons.section(run)),
        ("Rounds", rounds.section(run)),
        ("Contamination", contamination.found(run)),
        ("By group", groups.by_field(run)),
        ("Loss on text", losses.section(run)),
        ("From samples to selected", sections.funnel(run)),
        ("Budgets", budgets.section(run)),
        ("Against k", sections.against_k(run)),
        *(
            (_on("Against the fraction of the data", name), sections.against_fraction(part))
            for name, part in run.by_problems()
        ),
        ("Provenance", sections.provenance(run)),
        ("Training", sections.training(run)),
        ("Lengths", sections.lengths(run)),
        ("Problems", sections.browse(run)),
        ("Suspect labels", sections.suspects(run)),
        ("Where the graders disagree", audits.disagreements(run)),
        ("Settings", sections.settings(run)),
    ]
    models = ", ".join(run.plan.get("models", ())) or "stages run by hand"
    target = folder / "report.html"
    with whole_file(target) as file:
        file.write_text(
            page("Rejection-sampling fine-tuning", f"{folder.resolve().name}: {models}", parts), encoding="utf-8"
        )
    return target


def _on(heading: str, problems: str) -> str:
    return f"{heading} on {problems}" if problems else heading
