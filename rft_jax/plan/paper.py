"""The paper's runs on its hardware, and on a TPU slice each, as one table (arXiv 2308.01825, A.1 and table 4)."""

import dataclasses
from collections.abc import Callable, Iterator

from rft_jax.config import MeshConfig, SampleConfig, TrainConfig
from rft_jax.errors import UserError
from rft_jax.model import architecture
from rft_jax.plan import plan, show
from rft_jax.plan.plan import Plan
from rft_jax.plan.target import Target, make

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
_FEWER = 0.8

_HEADER = (
    "| run | devices | mesh, settings | memory, GiB | sent per step, GB | floor of a step | device hours | paper's |\n"
    "|---|---|---|---|---|---|---|---|"
)


def rows(
    training: Callable[[str], TrainConfig], sampling: SampleConfig, kinds: tuple[str, ...] = ("gpu", "tpu")
) -> Iterator[str]:
    """Yields the table, line by line, as each is compiled.

    Args:
        training: gives the config of a size.
        sampling: config of sampling.
        kinds: of hardware, gpu or tpu.
    """
    yield _HEADER
    for size in _SIZES:
        for kind in kinds:
            name, hosts, chips = ("a100-80g", *_GPUS[size]) if kind == "gpu" else _SLICES[size]
            found = _train(training(size), size, make(name, hosts, chips))
            yield _line(f"train {size}", found, SFT_HOURS[size])
    for size in _SIZES:
        for kind in kinds:
            name, least = ("a100-80g", 1) if kind == "gpu" else _SAMPLING_SLICES[size]
            yield _line(f"sample {size}", _sample(sampling, size, name, least), SAMPLING_HOURS[size])


def _train(config: TrainConfig, size: str, target: Target) -> Plan:
    model = architecture.size(size)
    mesh = MeshConfig(data=1, fsdp=len(target.devices), tensor=1)
    remat = config.remat if (target.known.memory or 0.0) > _ROOMY else "full"
    config = dataclasses.replace(config, mesh=mesh, remat=remat)
    asked = plan.of_training(config, model, target)
    found = None if asked.fits else plan.fitting(config, model, target)
    return found[1] if found else asked


def _sample(config: SampleConfig, size: str, hardware: str, least: int) -> Plan:
    """Returns the plan on the fewest devices, a power of two, that hold the model and as many rows as are chosen there.

    On a slice a fifth of the rows may go, as what a sweep needs beside the cache is not in `capacity`'s reckoning.
    """
    devices = least
    while True:
        mesh = MeshConfig(data=1, fsdp=1, tensor=devices)
        target = make(hardware, 1, devices)
        try:
            found = _with(dataclasses.replace(config, mesh=mesh), size, target)
            if not found.fits and target.backend == "tpu":
                rows = int(_FEWER * found.rate[0])
                found = _with(dataclasses.replace(config, mesh=mesh, rows=rows), size, target)
            if found.fits or devices == _MOST:
                return found
        except UserError:
            if devices == _MOST:
                raise
        devices *= 2


def _with(config: SampleConfig, size: str, target: Target) -> Plan:
    return plan.of_sampling(config, architecture.size(size), target, all_layers=False)


def _line(run: str, found: Plan, hours: float) -> str:
    gib, step = 2**30, found.step
    sent = sum(step.sent.values())
    cells = (
        run,
        f"{len(found.target.devices)} × {found.target.name}{'' if found.target.vendor else ', compiled for CPUs'}",
        f"{show.mesh(found)}; {found.settings}",
        f"{step.arguments / gib:.1f} + {step.temporary / gib:.1f} of {found.memory / gib:.1f}"
        + ("" if found.fits else ": **does not fit**"),
        f"{sent / 1e9:.1f}" if sent >= 1e8 else f"{sent / 1e9:.3f}" if sent else "–",
        f"{found.step_seconds:.2f} s" if found.step_seconds >= 1 else f"{1000 * found.step_seconds:.0f} ms",
        f"{found.device_hours:.1f}" if found.device_hours < 100 else f"{found.device_hours:,.0f}",
        f"{hours:,g}",
    )
    return f"| {' | '.join(cells)} |"
