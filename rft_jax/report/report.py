"""Writes the report on a workdir."""

from pathlib import Path

from rft_jax.files import whole_file
from rft_jax.report import audits, comparisons, groups, sections
from rft_jax.report.collect import collect
from rft_jax.report.page import page


def write(folder: Path) -> Path:
    """Writes report.html into a workdir and returns its path; `summary.table` is the short version in text.

    Raises:
        UserError: there is nothing to report, or a file cannot be read or written.
    """
    run = collect(folder)
    parts = [
        ("Results", sections.results(run)),
        ("Comparisons", comparisons.section(run)),
        ("By group", groups.by_field(run)),
        ("From samples to selected", sections.funnel(run)),
        ("Against k", sections.against_k(run)),
        ("Against the fraction of the data", sections.against_fraction(run)),
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
