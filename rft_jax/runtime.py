"""Process start-up: distributed JAX, the mesh, logging and the compilation cache."""

import collections
import ctypes
import functools
import logging
import os
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import logging as absl_logging
from jax.sharding import AxisType, Mesh

from rft_jax import config_checks, environment, provenance, stopping
from rft_jax.config import MeshConfig
from rft_jax.distributed import processes
from rft_jax.distributed.connect import connect
from rft_jax.errors import UserError
from rft_jax.hardware import GPU_SHARE

log = logging.getLogger(__name__)

MEET_S = 60.0  # for all processes to come, unless RFT_JAX_MEET_S says otherwise
_SHARE, _SHARE_BEFORE = "XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"  # JAX's names, now and before
AXES = ("data", "fsdp", "tensor")  # of the mesh; see model/partition.py for what each is for


def start(meet_s: float = MEET_S) -> None:
    """Prepares this process. Call it once, before anything that touches a device.

    Several processes find each other as processes.py says; then only a child of this process returns.

    Args:
        meet_s: seconds for all processes to come, unless RFT_JAX_MEET_S says otherwise.

    Raises:
        UserError: the environment is half set or contradicts itself, or the processes did not all meet.
    """
    meet_s = environment.seconds("RFT_JAX_MEET_S", meet_s, least=1)
    _keep_freed_memory()
    use_gpu_memory(os.environ)
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rft_jax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    found = processes.from_environment(os.environ, processes.visible_gpus(os.environ))
    if found is not None and not jax.distributed.is_initialized():
        connect(found, meet_s)
    absl_logging.set_verbosity(absl_logging.WARNING)  # JAX tells of every device that it looks for and does not find
    if jax.process_count() > 1 and not jax.distributed.is_initialized():
        raise UserError(
            "these devices belong to several hosts, but no variable says which of them this is: set "
            f"{', '.join(processes.JAX)}, as launch/tpu/run.sh does"
        )
    if jax.process_count() > 1 and jax.default_backend() == "cpu":
        # Only process 0 would find its programs there, and wait for the others, which compile, at its first collective:
        # Gloo gives them 30 s.
        jax.config.update("jax_enable_compilation_cache", False)
    log_on_process_zero(jax.process_index())
    stopping.leave_at_once()


def use_gpu_memory(environ: MutableMapping[str, str]) -> None:
    """Lets JAX take GPU_SHARE of a GPU's memory, unless the environment says how much; its own default is 0.75."""
    if not {_SHARE, _SHARE_BEFORE} & environ.keys():
        environ[_SHARE] = str(GPU_SHARE)


def gpu_memory_chosen(environ: Mapping[str, str]) -> bool:
    """Returns whether the environment says how much of a GPU's memory to use, rather than `use_gpu_memory`."""
    return _SHARE_BEFORE in environ or environ.get(_SHARE, str(GPU_SHARE)) != str(GPU_SHARE)


def _keep_freed_memory() -> None:
    """Makes glibc keep memory that XLA frees. Call it before JAX starts threads, each of which would get its own heap.

    On a CPU, XLA allocates its temporaries afresh for each execution, and glibc would return large allocations to the
    system each time: faulting their pages in again took a fifth to a half of a training step.
    """
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # M_TRIM_THRESHOLD and so on in malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # another C library
    for setting, value in ((mmap_max, 0), (trim_threshold, -1), (arena_max, 1)):
        mallopt(setting, value)


def log_on_process_zero(process: int) -> None:
    """Makes process 0 log progress, and the others only warnings and errors."""
    handler = logging.StreamHandler()
    label = "" if process == 0 else f"process {process}: "
    handler.setFormatter(logging.Formatter(f"%(asctime)s {label}%(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("rft_jax").setLevel(logging.INFO if process == 0 else logging.WARNING)


def make_mesh(data: int, fsdp: int, tensor: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns the mesh over all devices of all processes; activate it with `jax.set_mesh`.

    Args:
        data, fsdp, tensor: devices along each axis (see partition.py); one may be -1, for all remaining devices.
        devices: others to use, for instance some that are not here.

    Raises:
        UserError: the product is not the number of devices; the message suggests meshes that fit.
    """
    config_checks.mesh(MeshConfig(data, fsdp, tensor))
    sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
    count = jax.device_count() if devices is None else len(devices)
    shape = " × ".join(f"{axis} {size}" for axis, size in sizes.items())
    known = data * fsdp * tensor
    if known < 0:
        known = -known
        sizes = {axis: count // known if size == -1 else size for axis, size in sizes.items()}
    product = sizes["data"] * sizes["fsdp"] * sizes["tensor"]
    if product != count:
        fits = ", ".join(
            f"fsdp {count // tensors} × tensor {tensors}" for tensors in (1, 2, 4, 8) if count % tensors == 0
        )
        raise UserError(f"mesh {shape} does not cover the {count} devices here; these would: {fits}")
    shape_of = tuple(sizes[axis] for axis in AXES)
    return jax.make_mesh(shape_of, AXES, axis_types=(AxisType.Explicit,) * len(AXES), devices=devices)


def describe(mesh: Mesh) -> dict[str, Any]:
    """Returns what a run is computed by, as JSON values: the software (see provenance.py), processes, devices, mesh."""
    return provenance.software() | {
        "processes": jax.process_count(),
        "devices": dict(collections.Counter(device.device_kind for device in jax.devices())),
        "mesh": dict(mesh.shape),
    }


def announce(mesh: Mesh) -> None:
    """Logs on process 0 what the run is computed by; once, also where one command samples twice.

    Call it when the input is found right: a mistake in it is to be the only line.
    """
    if jax.process_index() == 0:
        _say(provenance.line(describe(mesh)))


@functools.cache
def _say(line: str) -> None:
    log.info(line)
