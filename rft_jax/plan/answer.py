"""What launch/plan.py prints: does it fit, how fast could it be, and what would fit where it does not."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from rft_jax.config import SampleConfig, TrainConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.hardware import FULL
from rft_jax.hf import config as hf_config
from rft_jax.hf import located
from rft_jax.model import architecture as architectures
from rft_jax.model.architecture import LlamaConfig
from rft_jax.plan import paper, plan, show
from rft_jax.plan.plan import Plan
from rft_jax.plan.target import Target


def model_of(config: TrainConfig | SampleConfig, size: str | None, reference: str) -> tuple[LlamaConfig, str | None]:
    """Returns the architecture that is planned, and its published name if it has one.

    Args:
        config: of the stage; its model counts before its size.
        size: published name of another architecture to plan for, or None.
        reference: the config's `FILE:SIZE` or `FILE:SIZE:PRESET`; the size counts last.

    Raises:
        UserError: there is none, or the folder or the size is not known.
    """
    in_reference = reference.partition(":")[2].partition(":")[0]
    of_config = config.size if isinstance(config, TrainConfig) else None
    named = size or of_config or (in_reference if in_reference in architectures.SIZES else None)
    if config.model and not size:
        model = hf_config.read(located.settings(config.model))
        return model, named if named and architectures.size(named) == model else None
    if named is None:
        raise UserError("which model? give --size, for instance --size=llama2-7b, or --config.model=DIR")
    return architectures.size(named), named


def of(config: TrainConfig | SampleConfig, model: LlamaConfig, size: str | None, target: Target) -> str:
    """Returns the plan as text, with what would fit where it does not.

    Args:
        config: of the stage.
        model: its architecture.
        size: its published name, for the paper's figures, or None.
        target: the devices.

    Raises:
        UserError: the mesh does not cover the devices, or the settings do not go with them.
    """
    match config:
        case TrainConfig():
            made = plan.of_training(config, model, target)
            lines = [show.text(made, paper.SFT_HOURS.get(size or ""))]
            if not made.fits:
                lines.append(_training_that_fits(config, model, target))
        case SampleConfig():
            made = plan.of_sampling(config, model, target)
            lines = [show.text(made, paper.SAMPLING_HOURS.get(size or ""))]
            if not made.fits:
                lines.append(_rows_that_fit(made))
        case _:
            assert_never(config)
    return "\n".join(lines)


def table(kinds: list[str], kept: Path | None, only: str) -> Iterator[str]:
    """Yields the lines of the paper's table.

    Args:
        kinds: of hardware, gpu and tpu.
        kept, only: as for `paper.rows`.

    Raises:
        UserError: an unknown kind.
    """
    for kind in kinds:
        if kind not in ("gpu", "tpu"):
            raise UserError(f"--paper={kind}: known are gpu and tpu")
    return paper.rows(
        lambda size: load(f"configs/sft.py:{size}", TrainConfig),
        lambda size: load(f"configs/sample.py:{size}", SampleConfig),
        tuple(kinds),
        kept,
        only,
    )


def _training_that_fits(config: TrainConfig, model: LlamaConfig, target: Target) -> str:
    found = plan.fitting(config, model, target)
    if found:
        way, made = found
        mesh = " ".join(f"--config.mesh.{axis}={size}" for axis, size in dataclasses.asdict(way.mesh).items())
        return (
            f"this would fit (compiled): {mesh} --config.remat={way.remat} --config.accumulation={way.accumulation}\n"
            + show.text(made)
        )
    # Weights, two moments and gradients in fp32 are split over all devices, and take at most half of the memory.
    assert target.known.memory is not None
    devices = 8 * -(-int(16 * model.parameters / (0.5 * target.known.memory)) // 8)
    enough = max(devices, 2 * len(target.devices))
    return f"nothing fits on these; about {enough} devices would do (estimated, not compiled)"


def _rows_that_fit(made: Plan) -> str:
    rows = made.rate[0] // _replicas(made.mesh)
    share = FULL * made.memory / made.step.memory
    return f"about --config.rows={max(1, int(0.9 * share * rows))} would fit (estimated, not compiled)"


def _replicas(mesh: dict[str, int]) -> int:
    return mesh["data"] * mesh["fsdp"]
