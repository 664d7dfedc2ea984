"""Devices that are not here, to compile for: the vendor's compiler where its wheels are installed, else fake CPUs."""

import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import Literal

import jax
from jax.experimental import topologies

from rft_jax.errors import UserError
from rft_jax.hardware import GPU_SHARE, HARDWARE, Cuda, Hardware

Backend = Literal["gpu", "tpu"]

# No TPU is touched, but libtpu looks for a TPU machine's metadata, waits a minute for it, and lets one process load it.
_NO_TPU_HERE = {
    "TPU_SKIP_MDS_QUERY": "1", "TPU_ACCELERATOR_TYPE": "v4-8", "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}  # fmt: skip
_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices to compile for.

    Attributes:
        name: of the hardware, a key of HARDWARE.
        known: what it can do.
        backend: what `jax.default_backend()` would say there.
        devices: all of them, host by host.
        per_host: how many each host has.
        vendor: whether the vendor's compiler compiles for them, or XLA's for CPUs.
        kept: folder of programs that were compiled before, or None.
    """

    name: str
    known: Hardware
    backend: Backend
    devices: tuple[jax.Device, ...]
    per_host: int
    vendor: bool
    kept: Path | None = None

    @property
    def described(self) -> str:
        """Which compiler it is, and what to install for the vendor's one."""
        extra = "cuda13" if self.backend == "gpu" else "tpu"
        if self.vendor:
            return f"compiled for {self.devices[0].device_kind} by {'XLA for CUDA' if extra == 'cuda13' else 'libtpu'}"
        return (
            f"compiled for CPUs in place of {self.name}: bf16 products and attention take more memory than there, and "
            f"bytes and seconds are another program's; pip install 'rft-jax[{extra}]' gives the vendor's compiler"
        )


def has_compiler(hardware: str) -> bool:
    """Returns whether the vendor's compiler for a kind of hardware is installed."""
    if isinstance(HARDWARE[hardware].compiler, Cuda):
        return any(importlib.util.find_spec(plugin) for plugin in _PLUGINS)
    return importlib.util.find_spec("libtpu") is not None


def make(hardware: str, hosts: int, chips: int, kept: Path | None = None) -> Target:
    """Returns devices to compile for.

    Args:
        hardware: a key of HARDWARE with a compiler.
        hosts: number of hosts.
        chips: devices per host.
        kept: folder where compiled programs are looked for, and kept; None: nowhere.

    Raises:
        UserError: no TPU slice has that many chips, or too few fake CPU devices stand in for the hardware.
    """
    known, count = HARDWARE[hardware], hosts * chips
    match known.compiler:
        case Cuda():
            backend: Backend = "gpu"
        case None:
            raise UserError(f"{hardware}: nothing to compile for")
        case _:
            backend = "tpu"
            shape = slice_shape(count, known.compiler.axes)
    if not has_compiler(hardware):
        if jax.device_count() < count:
            raise UserError(
                f"{jax.device_count()} fake CPU devices cannot stand in for {count} × {hardware}: set "
                f"XLA_FLAGS=--xla_force_host_platform_device_count={count}"
            )
        return Target(hardware, known, backend, tuple(jax.devices()[:count]), chips, False, kept)
    if isinstance(known.compiler, Cuda):
        config = target_config(known.compiler, known)
        found = topologies.get_topology_desc(platform="cuda", topology=f"{hosts}x{chips}x1", target_config=config)
    else:
        for variable, value in _NO_TPU_HERE.items():
            os.environ.setdefault(variable, value)
        name = f"{known.compiler.name}:{'x'.join(map(str, shape))}"
        options: dict[str, object] = {}
        if count < 4:  # less than the smallest host that libtpu expects
            options["chips_per_host_bounds"] = [*shape, 1][:3]
        if known.compiler.chip:
            options["chip_config_name"] = known.compiler.chip
        found = topologies.get_topology_desc(platform="tpu", topology_name=name, **options)
    return Target(hardware, known, backend, tuple(found.devices), chips, True, kept)


def slice_shape(chips: int, axes: int) -> tuple[int, ...]:
    """Returns the sides of the TPU slice with so many chips, as cubic as can be.

    Raises:
        UserError: there is none.
    """
    exponent = chips.bit_length() - 1
    if chips != 2**exponent:
        raise UserError(f"no TPU slice has {chips} chips: hosts × chips can be {2**exponent} or {2 ** (exponent + 1)}")
    sides = tuple(2 ** ((exponent + axis) // axes) for axis in range(axes))
    return sides[::-1] if exponent < axes == 3 else sides  # 2x2x1, not 1x2x2


def target_config(cuda: Cuda, known: Hardware) -> str:
    """Returns a GPU in the words of XLA's GpuTargetConfigProto."""
    # Where there is a device, XLA recomputes values to keep within what JAX may take of its memory (GPU_SHARE); where
    # there is none, to keep within 0.8 of the whole, so that a full cache would make it recompute what it never does.
    memory = GPU_SHARE * cuda.memory / 0.8
    extension = "feature_extension: ACCELERATED_FEATURES" if cuda.capability >= 9 else ""
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024  threads_per_warp: 32  threads_per_core_limit: 2048
  shared_memory_per_block: 49152  shared_memory_per_core: {cuda.shared}
  shared_memory_per_block_optin: {cuda.shared - 1024}
  core_count: {cuda.cores}  fpus_per_core: {cuda.fpus}  clock_rate_ghz: {cuda.clock}
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  memory_bandwidth: {known.bandwidth or 0:.0f}  l2_cache_size: {cuda.l2}  device_memory_size: {memory:.0f}
  cuda_compute_capability {{ major: {cuda.capability} {extension} }}
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
runtime_version {{ major: 13 minor: 0 }}
device_description_str: "{known.kinds[0]}"
"""
