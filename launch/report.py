"""Writes a self-contained page on a run: WORKDIR/report.html.

python launch/report.py --workdir=OUT
"""

from pathlib import Path

from absl import flags

from rft_jax import command
from rft_jax.report import report, summary

WORKDIR = flags.DEFINE_string("workdir", None, "Folder that holds the stages' folders.", required=True)


def main() -> None:
    """Writes the report, and prints a summary and where the report is."""
    target = report.write(Path(WORKDIR.value))
    command.show(f"{summary.table(Path(WORKDIR.value))}\n\nreport: {target}")


if __name__ == "__main__":
    command.run(main)
