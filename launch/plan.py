"""Says whether a stage fits on hardware that is not here, and how fast it could be, by compiling its step.

    python launch/plan.py --config=configs/sft.py:llama2-7b --hardware=a100-80g --hosts=1 --chips=8
    python launch/plan.py --config=configs/sample.py --size=llama2-7b --hardware=h100 --chips=1
    python launch/plan.py --paper=gpu,tpu --kept=FOLDER      the paper's runs, as one table; repeat it to go on

Training configs are compiled as a training step, sampling configs as a decode step, on GSM8K's lengths. The
architecture is --size, else that of the config's model or size. The extras cuda13 and tpu have the vendors' compilers;
without them the step is compiled for as many fake CPU devices. --kept keeps what the compilers made, each under a
digest of the program, the devices and the compiler, so that the same program is not compiled again.
"""

import os
from pathlib import Path

from absl import flags

from rft_jax import command, hardware
from rft_jax.config import SampleConfig, TrainConfig
from rft_jax.config_flag import ConfigFlag

CONFIG = ConfigFlag[TrainConfig | SampleConfig](TrainConfig, SampleConfig, default="configs/sft.py")
KINDS = [name for name, known in hardware.HARDWARE.items() if known.compiler]
HARDWARE = flags.DEFINE_enum("hardware", "a100-80g", KINDS, "Kind of device.")
HOSTS = flags.DEFINE_integer("hosts", 1, "Number of machines.", lower_bound=1)
CHIPS = flags.DEFINE_integer("chips", 8, "Devices per machine.", lower_bound=1)
SIZE = flags.DEFINE_string("size", None, "Published architecture, for instance llama2-7b.")
KEPT = flags.DEFINE_string("kept", None, "Folder of compiled programs, to be used again.")
PAPER = flags.DEFINE_list("paper", [], "Make the table of the paper's runs instead, on: gpu, tpu.")
ONLY = flags.DEFINE_string("only", "", "Rows of that table whose names contain this, for instance train or llama-33b.")


def main() -> None:
    """Compiles and prints the plan, or the table."""
    config = CONFIG.read()
    os.environ["JAX_PLATFORMS"] = "cpu"
    count = 64 if PAPER.value else HOSTS.value * CHIPS.value
    flag = f"--xla_force_host_platform_device_count={count}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's compilers say much
    from rft_jax.plan import answer, target  # JAX reads the environment when first imported

    kept = Path(KEPT.value) if KEPT.value else None
    if PAPER.value:
        for line in answer.table(PAPER.value, kept, ONLY.value):
            command.show(line)
        return
    model, size = answer.model_of(config, SIZE.value, flags.FLAGS.config)
    command.show(answer.of(config, model, size, target.make(HARDWARE.value, HOSTS.value, CHIPS.value, kept)))


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
