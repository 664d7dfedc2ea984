"""Says whether a training run fits on given hardware and how fast it could be, by compiling its step on a CPU.

    python launch/plan.py --config=configs/sft.py:llama2-7b --hardware=a100-80g --hosts=1 --chips=8

The architecture is --size, else that of the config's model or size.
"""

import os
from pathlib import Path

from absl import flags

from rft_jax import command, hardware
from rft_jax.config import TrainConfig
from rft_jax.config_flag import ConfigFlag

CONFIG = ConfigFlag(TrainConfig, default="configs/sft.py")
KINDS = [name for name, known in hardware.HARDWARE.items() if known.memory]
HARDWARE = flags.DEFINE_enum("hardware", "a100-80g", KINDS, "Kind of device.")
HOSTS = flags.DEFINE_integer("hosts", 1, "Number of machines.", lower_bound=1)
CHIPS = flags.DEFINE_integer("chips", 8, "Devices per machine.", lower_bound=1)
SIZE = flags.DEFINE_string("size", None, "Published architecture, for instance llama2-7b.")


def main() -> None:
    """Makes the fake devices, compiles and prints the plan."""
    config = CONFIG.read()
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={HOSTS.value * CHIPS.value}"
    from rft_jax import plan  # JAX reads the environment when first imported
    from rft_jax.hf import config as hf_config
    from rft_jax.model import architecture

    named = SIZE.value or config.size or flags.FLAGS.config.partition(":")[2].partition(":")[0]
    model = hf_config.read(Path(config.model)) if config.model and not SIZE.value else architecture.size(named)
    command.show(plan.plan_training(config, model, HARDWARE.value).table())


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
