"""What can be wrong with a command's settings whatever the model and the data: told before anything runs."""

from rft_jax import ranges
from rft_jax.config import EvaluateConfig, MeshConfig, SampleConfig, TrainConfig
from rft_jax.errors import UserError
from rft_jax.remote import address


def training(config: TrainConfig) -> None:
    """Raises UserError if the settings of a training run are out of range or contradict each other."""
    ranges.check(config)
    mesh(config.mesh)
    if config.checkpoints is not None:
        address.require_checkpoints(config.checkpoints, "--config.checkpoints")


def sampling(config: SampleConfig) -> None:
    """Raises UserError as `training` does."""
    ranges.check(config)
    mesh(config.mesh)
    if config.shots and config.template:
        raise UserError(f"shots = {config.shots} is a template of its own: give no --config.template beside it")
    if config.shots and config.shots_from is None:
        raise UserError(f"{config.shots} worked examples need --config.shots_from=FILE, problems to take them from")


def evaluation(config: EvaluateConfig) -> None:
    """Raises UserError as `training` does."""
    sampling(config)
    if config.k and config.temperature == 0:
        raise UserError(f"temperature = 0: all k = {config.k} samples would be the greedy path")


def mesh(axes: MeshConfig) -> None:
    """Raises UserError if an axis has no size, or more than one has none of its own."""
    ranges.check(axes)
    if (axes.data, axes.fsdp, axes.tensor).count(-1) > 1:
        raise UserError(
            f"mesh data {axes.data} × fsdp {axes.fsdp} × tensor {axes.tensor}: only one axis may be -1, all remaining "
            "devices"
        )
