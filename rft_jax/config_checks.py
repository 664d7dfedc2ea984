"""What can be wrong with a command's settings whatever the model and the data: told before anything runs."""

from rft_jax import ranges
from rft_jax.config import TARGETS, UNIFORM, EvaluateConfig, LoraConfig, MeshConfig, SampleConfig, TrainConfig
from rft_jax.errors import UserError, did_you_mean
from rft_jax.remote import address


def training(config: TrainConfig) -> None:
    """Raises UserError if the settings of a training run are out of range or contradict each other."""
    ranges.check(config)
    mesh(config.mesh)
    lora(config.lora)
    if config.lora.export == "adapter" and (config.checkpoint or not config.model or address.is_remote(config.model)):
        raise UserError(
            "lora.export = adapter names the model that the adapters are of, for PEFT to load: give a folder of this "
            "machine or a model of the hub as --config.model, or --config.lora.export=merged"
        )
    if config.checkpoints is not None:
        address.require_checkpoints(config.checkpoints, "--config.checkpoints")


def lora(config: LoraConfig) -> None:
    """Raises UserError if the adapters are of no or unknown projections, or there are none to export."""
    if unknown := [target for target in config.targets if target not in TARGETS]:
        hint = did_you_mean(unknown[0], TARGETS)
        raise UserError(f"lora.targets: no projection is called '{unknown[0]}'{hint}; known: {', '.join(TARGETS)}")
    if not config.targets:
        raise UserError(f"lora.targets is empty: give some of {', '.join(TARGETS)}")
    if config.export == "adapter" and not config.rank:
        raise UserError("lora.export = adapter, and lora.rank = 0 trains no adapters: give --config.lora.rank=16 or so")


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
    if config.budget != UNIFORM:
        raise UserError(
            f"budget = {config.budget}: an evaluation has as many samples of every problem, or its figures would be of "
            "what the budget stops at: leave it out"
        )
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
