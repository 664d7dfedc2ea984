"""The paper's runs on its hardware, and on a TPU slice each, as one table (arXiv 2308.01825, A.1 and table 4)."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from rft_jax.config import MeshConfig, SampleConfig, TrainConfig
from rft_jax.errors import UserError
from rft_jax.model import architecture
from rft_jax.plan import plan, sampling, show
from rft_jax.plan.plan import Plan
from rft_jax.plan.target import Target, make
from rft_jax.runtime import make_mesh

_GIB = 2**30

# GPU hours on A100-80GBs, table 4: of SFT, and of 100 samples of each training problem.
SFT_HOURS = {
    "llama-7b": 0.6, "llama2-7b": 0.6, "llama-13b": 4, "llama2-13b": 4, "llama-33b": 40, "llama-65b": 74,
    "llama2-70b": 80,
}  # fmt: skip
SAMPLING_HOURS = {
    "llama-7b": 10, "llama2-7b": 10, "llama-13b": 100, "llama2-13b": 100, "llama-33b": 100, "llama-65b": 4300,
    "llama2-70b": 4500,
}  # fmt: skip

_SIZES = ("llama2-7b", "llama2-13b", "llama-33b", "llama-65b", "llama2-70b")
# For training: hosts and devices per host.
_GPUS = {"llama2-7b": (1, 8), "llama2-13b": (1, 8), "llama-33b": (2, 8), "llama-65b": (4, 8), "llama2-70b": (4, 8)}
_SLICES = {
    "llama2-7b": ("tpu-v5e", 2, 8), "llama2-13b": ("tpu-v6e", 2, 8), "llama-33b": ("tpu-v4", 8, 4),
    "llama-65b": ("tpu-v5p", 8, 4), "llama2-70b": ("tpu-v5p", 8, 4),
}  # fmt: skip
_ROOMY = 64e9  # bytes of a device, below which training keeps nothing of a layer but its input
_SAMPLING_SLICES = {
    "llama2-7b": ("tpu-v5e", 4), "llama2-13b": ("tpu-v6e", 2), "llama-33b": ("tpu-v4", 4), "llama-65b": ("tpu-v5p", 2),
    "llama2-70b": ("tpu-v5p", 2),
}  # fmt: skip
_MOST = 8  # devices of a host, the most that sampling is tried on

_HEADER = (
    "| run | devices | mesh, settings | memory, GiB | on half as many | sent per step, GB | floor of a step "
    "| device hours | paper's |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def rows(
    train: Callable[[str], TrainConfig],
    sample: Callable[[str], SampleConfig],
    kinds: tuple[str, ...] = ("gpu", "tpu"),
    kept: Path | None = None,
    only: str = "",
) -> Iterator[str]:
    """Yields the table, line by line, as each is compiled.

    A training on half as many devices is compiled with the same settings. Sampling is tried on 1, 2, 4 and 8 GPUs until
    it fits, and on as many as its config says; on half as many devices its rows are those that `capacity` would choose.

    Args:
        train, sample: give the config of a size.
        kinds: of hardware, gpu or tpu.
        kept: folder of compiled programs, as for `target.make`.
        only: what the names of the rows contain, for instance "sample" or "sample llama-33b".
    """
    yield _HEADER
    for size in _SIZES:
        for kind in kinds if only in f"train {size}" else ():
            name, hosts, chips = ("a100-80g", *_GPUS[size]) if kind == "gpu" else _SLICES[size]
            config, found = _train(train(size), size, make(name, hosts, chips, kept))
            fewer = make(name, hosts // 2, chips, kept) if hosts > 1 else make(name, 1, chips // 2, kept)
            yield _line(f"train {size}", found, _trained_on(fewer, config, size), SFT_HOURS[size])
    for size in _SIZES:
        for kind in kinds if only in f"sample {size}" else ():
            wanted = sample(size)
            name, usual = ("a100-80g", wanted.mesh.tensor) if kind == "gpu" else _SAMPLING_SLICES[size]
            fewest = _sample(wanted, size, name, 1 if kind == "gpu" else usual, kept)
            plans = [fewest]
            if kind == "gpu" and len(fewest.target.devices) < usual:
                plans.append(_sample(wanted, size, name, usual, kept))
            for each in plans:
                yield _line(f"sample {size}", each, _sampled_on_half(each, wanted, size, kept), SAMPLING_HOURS[size])


def _train(config: TrainConfig, size: str, target: Target) -> tuple[TrainConfig, Plan]:
    model = architecture.size(size)
    mesh = MeshConfig(data=1, fsdp=len(target.devices), tensor=1)
    remat = config.remat if (target.known.memory or 0.0) > _ROOMY else "full"
    config = dataclasses.replace(config, mesh=mesh, remat=remat)
    asked = plan.of_training(config, model, target)
    found = None if asked.fits else plan.fitting(config, model, target)
    return found or (config, asked)


def _trained_on(fewer: Target, config: TrainConfig, size: str) -> str:
    """Returns what a training needs of each of fewer devices, under the settings that were found for all."""
    mesh = MeshConfig(data=1, fsdp=len(fewer.devices) // config.mesh.tensor, tensor=config.mesh.tensor)
    return _memory(plan.of_training(dataclasses.replace(config, mesh=mesh), architecture.size(size), fewer), of=False)


def _sample(config: SampleConfig, size: str, hardware: str, least: int, kept: Path | None) -> Plan:
    """Returns the plan on the fewest devices, a power of two, that hold the model and as many rows as are chosen there.

    Raises:
        UserError: not even one problem fits on the most.
    """
    devices, found = least, None
    while found is None or not (found.fits or devices > _MOST):
        try:
            target = make(hardware, 1, devices, kept)
            found = plan.of_sampling(_split(config, devices), architecture.size(size), target, all_layers=False)
        except UserError:
            if found:
                break  # more devices do not split the heads
            if devices == _MOST:
                raise
        devices *= 2
    return found


def _sampled_on_half(found: Plan, config: SampleConfig, size: str, kept: Path | None) -> str:
    """Returns for how many rows half of the devices have room beside the weights."""
    devices = len(found.target.devices) // 2
    if not devices:
        return "–"
    model, fewer = architecture.size(size), make(found.target.name, 1, devices, kept)
    try:
        return f"rows={sampling.choose(_split(config, devices), model, fewer).sizes.rows}"
    except UserError:
        weights = sampling.weights(model, make_mesh(1, 1, devices, fewer.devices))
        return f"**no room** beside {weights / _GIB:.1f} of weights"


def _split(config: SampleConfig, devices: int) -> SampleConfig:
    return dataclasses.replace(config, mesh=MeshConfig(data=1, fsdp=1, tensor=devices))


def _memory(found: Plan, *, of: bool = True) -> str:
    of_all = f" of {found.memory / _GIB:.1f}" if of else ""
    refusal = "" if found.fits else ": **does not fit**"
    return f"{found.step.arguments / _GIB:.1f} + {found.step.temporary / _GIB:.1f}{of_all}{refusal}"


def _line(run: str, found: Plan, on_half: str, hours: float) -> str:
    sent = sum(found.step.sent.values())
    cells = (
        run,
        f"{len(found.target.devices)} × {found.target.name}{'' if found.target.vendor else ', compiled for CPUs'}",
        f"{show.mesh(found)}; {found.settings}",
        _memory(found),
        on_half,
        f"{sent / 1e9:.1f}" if sent >= 1e8 else f"{sent / 1e9:.3f}" if sent else "–",
        f"{found.step_seconds:.2f} s" if found.step_seconds >= 1 else f"{1000 * found.step_seconds:.0f} ms",
        f"{found.device_hours:.1f}" if found.device_hours < 100 else f"{found.device_hours:,.0f}",
        f"{hours:,g}",
    )
    return f"| {' | '.join(cells)} |"
