"""Runs every stage of a pipeline that is not done; see configs/quickstart.py and configs/gsm8k.py for the command.

`--submit=slurm` submits each stage as a job instead, by the scripts in launch/slurm/.
"""

import shlex
import sys

from absl import flags

from rft_jax import command, hardware
from rft_jax.config import PipelineConfig
from rft_jax.config_flag import ConfigFlag
from rft_jax.pipeline import dry_run, run, slurm
from rft_jax.remote.address import SHARED, local

CONFIG = ConfigFlag(PipelineConfig, default="configs/quickstart.py")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the stages' folders and report.html.", required=True)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the plan and what it will take, without running anything.")
REDO = flags.DEFINE_bool("redo", False, "Run stale stages again; their folders are moved to WORKDIR/stale.")
HARDWARE = flags.DEFINE_enum(
    "hardware", None, list(hardware.HARDWARE), "Hardware to estimate the time for; by default this machine, measured."
)
CHIPS = flags.DEFINE_integer("chips", None, "Number of GPUs or cores to estimate the time for.", lower_bound=1)
SUBMIT = flags.DEFINE_enum(
    "submit", None, ["slurm", "print"], "Submit what is left as dependent SLURM jobs, or print the commands that do."
)
ONLY = flags.DEFINE_string("only", None, "Run this stage alone; the stages that it needs are done.")
LAUNCHER = flags.DEFINE_string("launcher", "", "With --only: command that starts the stage's processes, such as srun.")
WORKERS = flags.DEFINE_integer("workers", None, "With --only: processes of a selection or a comparison.", lower_bound=1)


def main() -> None:
    """Reads the flags, and plans, submits or runs."""
    _refuse_contradictions()
    config, workdir, redo = CONFIG.read(), local(WORKDIR.value, "--workdir", SHARED), REDO.value
    again = [*CONFIG.arguments(), f"--workdir={workdir}", *(["--redo"] if redo else [])]
    if DRY_RUN.value:
        command.show(dry_run.plan(config, workdir, hardware=HARDWARE.value, chips=CHIPS.value))
    elif SUBMIT.value == "print":
        command.show(slurm.show(slurm.plan(config, workdir, again, redo=redo)))
    elif SUBMIT.value == "slurm":
        command.show(slurm.submit(config, workdir, again, redo=redo))
    elif ONLY.value is not None:
        submitted = shlex.join(["python", "launch/pipeline.py", "--submit=slurm", *again])
        launcher = shlex.split(LAUNCHER.value)
        run.run_only(
            config, workdir, ONLY.value, launcher=launcher, workers=WORKERS.value, redo=redo, command=submitted
        )
    else:
        run.run(config, workdir, redo=redo, command=shlex.join(["python", *sys.argv]))


def _refuse_contradictions() -> None:
    alone = [flag for flag in (DRY_RUN, SUBMIT, ONLY) if flag.value not in (None, False)]
    if len(alone) > 1:
        raise flags.Error(f"--{alone[0].name} and --{alone[1].name}: give one of them")
    for flag in (LAUNCHER, WORKERS):
        if flag.value and ONLY.value is None:
            raise flags.Error(f"--{flag.name} is for --only=STAGE")


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
