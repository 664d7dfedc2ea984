"""Finds in a minute what would end a long run, or make it wrong or slow, and says what to do about each.

    python launch/doctor.py [--config=configs/sft.py:llama2-7b --config.model=DIR --config.data=FILE] [--workdir=OUT]

Start it as the run will be started: alone, by srun, or on all hosts. The config is any command's.
"""

from absl import flags

from rft_jax import command
from rft_jax.config import EvaluateConfig, PipelineConfig, SampleConfig, TrainConfig
from rft_jax.config_flag import ConfigFlag
from rft_jax.remote.address import SHARED, local

CONFIG: ConfigFlag[TrainConfig | SampleConfig | PipelineConfig] = ConfigFlag(
    TrainConfig, SampleConfig, EvaluateConfig, PipelineConfig, default=None, required=False
)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder that the run will write to.")
MEET_S = 15.0  # for all processes to come: the whole must take a minute at most


def main() -> None:
    """Reads the flags, starts the process, examines and prints the table."""
    config = CONFIG.read() if CONFIG.given else None
    from rft_jax import runtime  # imports that take seconds: signals are caught by now

    runtime.start(MEET_S)
    import jax  # nothing may touch a device before the start

    from rft_jax.doctor import check, examine

    findings = examine.examine(config, local(WORKDIR.value, "--workdir", SHARED) if WORKDIR.value else None)
    if jax.process_index() == 0:
        command.show(check.table(findings))
    examine.refuse(findings)


if __name__ == "__main__":
    command.run(main, CONFIG.take_overrides)
