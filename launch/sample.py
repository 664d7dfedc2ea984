"""Samples k paths of each problem; see configs/sample.py for the command."""

from absl import flags

from rft_jax import command, stopping
from rft_jax.config import SampleConfig
from rft_jax.config_flag import ConfigFlag
from rft_jax.remote.address import SHARED, local

CONFIG = ConfigFlag(SampleConfig, default="configs/sample.py")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the paths.", required=True)


def main() -> None:
    """Reads the flags, starts the process and samples."""
    config = CONFIG.read()
    stopping.leave_at_once()  # libraries that take seconds to import swallow exceptions
    from rft_jax import runtime

    runtime.start()
    from rft_jax.sample import loop  # nothing may touch a device before the start

    loop.sample(config, local(WORKDIR.value, "--workdir", SHARED))


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
