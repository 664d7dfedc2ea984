"""Writes a self-contained page on a run: WORKDIR/report.html.

python launch/report.py --workdir=OUT
"""

from absl import flags

from rft_jax import command
from rft_jax.remote.address import SHARED, local
from rft_jax.report import report, summary

WORKDIR = flags.DEFINE_string("workdir", None, "Folder that holds the stages' folders.", required=True)


def main() -> None:
    """Writes the report, and prints a summary and where the report is."""
    workdir = local(WORKDIR.value, "--workdir", SHARED)
    target = report.write(workdir)
    command.show(f"{summary.table(workdir)}\n\nreport: {target}")


if __name__ == "__main__":
    command.run(main)
