"""Runs every stage of a pipeline that is not done; see configs/quickstart.py and configs/gsm8k.py for the command."""

import shlex
import sys
from pathlib import Path

from absl import flags

from rft_jax import command, hardware
from rft_jax.config import PipelineConfig
from rft_jax.config_flag import ConfigFlag
from rft_jax.pipeline import dry_run, run

CONFIG = ConfigFlag(PipelineConfig, default="configs/quickstart.py")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the stages' folders and report.html.", required=True)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the plan and what it will take, without running anything.")
REDO = flags.DEFINE_bool("redo", False, "Run stale stages again; their folders are moved to WORKDIR/stale.")
HARDWARE = flags.DEFINE_enum("hardware", "cpu", list(hardware.HARDWARE), "Hardware to estimate the time for.")
CHIPS = flags.DEFINE_integer("chips", None, "Number of GPUs or cores to estimate the time for.", lower_bound=1)


def main() -> None:
    """Reads the flags, and plans or runs."""
    config, workdir = CONFIG.read(), Path(WORKDIR.value)
    if DRY_RUN.value:
        command.show(dry_run.plan(config, workdir, hardware=HARDWARE.value, chips=CHIPS.value))
    else:
        run.run(config, workdir, redo=REDO.value, command=shlex.join(["python", *sys.argv]))


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
