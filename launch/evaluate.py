"""Evaluates a model on problems with gold answers; see configs/evaluate.py for the command."""

from absl import flags

from rft_jax import command, stopping
from rft_jax.config import EvaluateConfig
from rft_jax.config_flag import ConfigFlag
from rft_jax.remote.address import SHARED, local

CONFIG = ConfigFlag(EvaluateConfig, default="configs/evaluate.py")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder for metrics, results and paths.", required=True)


def main() -> None:
    """Reads the flags, starts the process, evaluates and prints the table."""
    config = CONFIG.read()
    stopping.leave_at_once()  # libraries that take seconds to import swallow exceptions
    from rft_jax import runtime

    runtime.start()
    from rft_jax.evaluate import loop  # nothing may touch a device before the start

    if table := loop.evaluate(config, local(WORKDIR.value, "--workdir", SHARED)):  # process 0 has it
        command.show(table)


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
