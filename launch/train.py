"""Trains a model on a file of responses, SFT or RFT; see configs/sft.py for the command."""

import shlex
import sys

from absl import flags

from rft_jax import command, stopping
from rft_jax.config import TrainConfig
from rft_jax.config_flag import ConfigFlag
from rft_jax.remote.address import EXPORTED, local

CONFIG = ConfigFlag(TrainConfig, default="configs/sft.py")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder for model, checkpoints and metrics.", required=True)


def main() -> None:
    """Reads the flags, starts the process and trains."""
    config = CONFIG.read()
    stopping.leave_at_once()  # libraries that take seconds to import swallow exceptions
    from rft_jax import runtime

    runtime.start()
    from rft_jax.train import loop  # nothing may touch a device before the start

    loop.train(config, local(WORKDIR.value, "--workdir", EXPORTED), command=shlex.join(["python", *sys.argv]))


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
