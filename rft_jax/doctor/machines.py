"""The checks of processes, software, devices, and what connects them."""

import collections
import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax import hardware, provenance, runtime
from rft_jax.config import MeshConfig
from rft_jax.distributed import processes
from rft_jax.doctor.check import Check, Finding, Level, ProcessError

_BYTES, _CPU_BYTES = 64 << 20, 4 << 20  # that each device gives to the sum
_TIMES = 5
_SLOW = 1e9  # bytes per second: an accelerator's link is faster, unless something is set up wrongly
_CLOCK_S = 1.0  # by which clocks may differ
_FREE = 0.5  # the least share of its memory that a device has for us, if nobody else uses it


def software() -> Check:
    """The same code, Python and libraries on all processes."""

    def judge(found: Sequence[Any]) -> Finding:
        for number, other in enumerate(found):
            for name, ours, theirs in _differences(_flat(found[0]), _flat(other)):
                raise ProcessError(number, f"another {name} than process 0: {theirs}, not {ours}")
        libraries = ", ".join(f"{name} {version}" for name, version in found[0]["versions"].items())
        return Finding(Level.OK, f"{provenance.line(found[0])}, {libraries}")

    return Check(
        "software", provenance.software, judge, "install the same environment and the same checkout on all hosts", 12.0
    )


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    # The hash of the code says more than the commit.
    return {"python": facts["python"], "version of our code": facts["code"], **facts["versions"]}


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = sorted(ours.keys() | theirs.keys())
    return [(name, ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)]


def all_processes() -> Check:
    """How many processes there are, and where."""

    def judge(found: Sequence[Any]) -> Finding:
        hosts = collections.Counter(found)
        each = ", ".join(f"{host}{f' ({count})' if count > 1 else ''}" for host, count in list(hosts.items())[:8])
        more = ", …" if len(hosts) > 8 else ""
        alone = "1 process, alone" if len(found) == 1 else f"{len(found)} processes, as many as there should be"
        return Finding(Level.OK, f"{alone}, on {each}{more}")

    return Check("processes", platform.node, judge, "")


def devices() -> Check:
    """The same devices for all processes, of the kind that the hosts have, and nobody else on them."""

    def find() -> dict[str, Any]:
        local = jax.local_devices()
        limits = [(device.memory_stats() or {}).get("bytes_limit") for device in local if device.platform != "cpu"]
        return {
            "kinds": dict(collections.Counter(device.device_kind for device in local)),
            "platform": local[0].platform,
            "gpus": processes.visible_gpus(os.environ),
            "chosen": bool(os.environ.get("JAX_PLATFORMS")),
            "limit": min((limit for limit in limits if limit), default=None),
            "share_chosen": bool(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION")),
        }

    def judge(found: Sequence[Any]) -> Finding:
        for number, other in enumerate(found):
            if other["platform"] == "cpu" and other["gpus"] and not other["chosen"]:
                raise ProcessError(number, f"JAX computes on the CPU, though the host has {other['gpus']} GPUs")
            if other["kinds"] != found[0]["kinds"]:
                raise ProcessError(
                    number, f"{_devices(other['kinds'])}, but process 0 has {_devices(found[0]['kinds'])}"
                )
        total: collections.Counter[str] = collections.Counter()
        for other in found:
            total.update(other["kinds"])
        said = _devices(total) + (f", {_devices(found[0]['kinds'])} per process" if len(found) > 1 else "")
        known = hardware.of_kind(next(iter(total)))
        whole = known.memory if known else None
        for other in found:
            limit = None if other["share_chosen"] else other["limit"]
            if limit and whole and limit < _FREE * whole:
                return Finding(
                    Level.WARNING,
                    f"{said}; a device has only {limit / 1e9:.0f} of its {whole / 1e9:.0f} GB for us",
                    "end what else uses it (nvidia-smi shows it), or ask for whole devices",
                )
        return Finding(Level.OK, said)

    return Check(
        "devices",
        find,
        judge,
        "give each process the same number of devices of one kind, and install JAX for them (jax[cuda13], jax[tpu])",
    )


def _devices(kinds: Mapping[str, int]) -> str:
    return " and ".join(f"{count} × {kind}" for kind, count in kinds.items())


def mesh(asked: Mapping[str, MeshConfig]) -> Check:
    """That the devices can be laid out as the config asks; `asked` is by the names of the stages."""

    def find() -> dict[str, str]:
        shapes = {}
        for name, config in asked.items():
            shape = runtime.make_mesh(config.data, config.fsdp, config.tensor).shape
            shapes[name] = " × ".join(f"{axis} {size}" for axis, size in shape.items())
        return shapes

    def judge(found: Sequence[Any]) -> Finding:
        of_shape: dict[str, list[str]] = {}
        for name, shape in found[0].items():
            of_shape.setdefault(shape, []).append(name)
        said = [shape + (f" ({', '.join(names)})" if len(of_shape) > 1 else "") for shape, names in of_shape.items()]
        return Finding(Level.OK, "; ".join(said))

    return Check("mesh", find, judge, "set --config.mesh.data, .fsdp and .tensor, or start as many processes as meant")


def collective() -> Check:
    """That all devices together add numbers rightly, and how fast."""

    def judge(found: Sequence[Any]) -> Finding:
        for number, other in enumerate(found):
            if not other["right"]:
                raise ProcessError(number, "the sum over all devices is wrong")
        count = found[0]["devices"]
        if count == 1:
            return Finding(Level.OK, "one device: nothing to send")
        seconds = max(other["seconds"] for other in found)
        speed = bus_bytes(count, found[0]["bytes"]) / seconds
        said = (
            f"{count} devices add {found[0]['bytes'] >> 20} MiB rightly in {1e3 * seconds:.1f} ms: "
            f"{speed / 1e9:.1f} GB/s through each"
        )
        if found[0]["platform"] != "cpu" and speed < _SLOW:
            advice = "see which transport is used (NCCL_DEBUG=INFO), and choose it (NCCL_IB_HCA, NCCL_SOCKET_IFNAME)"
            return Finding(Level.WARNING, f"{said}, which is slow", advice)
        return Finding(Level.OK, said)

    return Check(
        "collective",
        add_on_all,
        judge,
        "the processes met but cannot exchange data: look at the network between the hosts (firewall, "
        "NCCL_SOCKET_IFNAME); NCCL_DEBUG=INFO and RFT_JAX_CHATTER=1 show what happens",
        seconds=25.0,
        at_once=True,
    )


def bus_bytes(count: int, size: int) -> float:
    """Returns the bytes that each of `count` devices sends in a ring that adds up arrays of `size` bytes."""
    return 2 * (count - 1) / count * size


def add_on_all() -> dict[str, Any]:
    """Adds an array of each device on all devices; returns the bytes of one, the best time, and if it is right."""
    every = jax.devices()
    ring = Mesh(np.array(every), ("all",))
    size = (_CPU_BYTES if every[0].platform == "cpu" else _BYTES) // 4
    pattern = np.arange(size, dtype=np.int32) % 7

    def part(index: Any) -> np.ndarray:
        device = index[0].start or 0  # None where there is one
        return pattern[None] * np.int32(device + 1)

    given = jax.make_array_from_callback((len(every), size), NamedSharding(ring, P("all")), part)

    @jax.jit
    def add(x: jax.Array) -> jax.Array:
        return jax.shard_map(
            lambda x: jax.lax.psum(x[0], "all"), mesh=ring, in_specs=P("all"), out_specs=P(), check_vma=False
        )(x)

    total = jax.block_until_ready(add(given))
    times = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        total = jax.block_until_ready(add(given))
        times.append(time.perf_counter() - begun)
    expected = jnp.asarray(pattern * np.int32(len(every) * (len(every) + 1) // 2))
    right = all(bool((part.data == jax.device_put(expected, part.device)).all()) for part in total.addressable_shards)
    return {
        "devices": len(every),
        "platform": every[0].platform,
        "bytes": 4 * size,
        "seconds": min(times),
        "right": right,
    }


def clocks(ahead: Mapping[str, float]) -> Check:
    """That the hosts and the file server know the same time.

    Args:
        ahead: holds under "seconds", once that is known, by how much the file system's clock is ahead of ours.
    """

    def judge(found: Sequence[Any]) -> Finding:
        apart = [other["now"] - found[0]["now"] for other in found]
        for number, seconds in enumerate(apart):
            if abs(seconds) > _CLOCK_S:
                raise ProcessError(number, f"its clock is {_ahead(seconds)} of process 0's", Level.WARNING)
        files = [other["file"] for other in found]
        for number, seconds in enumerate(files):
            if seconds is not None and abs(seconds) > _CLOCK_S:
                said = f"the file system's clock is {_ahead(seconds)} of the host's"
                raise ProcessError(number, said, Level.WARNING)
        close = [f"{len(found)} processes within {1e3 * (max(apart) - min(apart)):.0f} ms"] if len(found) > 1 else []
        most = max((abs(seconds) for seconds in files if seconds is not None), default=None)
        close += [] if most is None else [f"the file system's within {1e3 * most:.0f} ms of the host's"]
        return Finding(Level.OK, "; ".join(close) or "one process, and no folder to compare with")

    return Check(
        "clocks",
        lambda: {"now": time.time(), "file": ahead.get("seconds")},
        judge,
        "let all hosts take the time from one server (chrony, ntpd): until then logs and file times mislead",
        at_once=True,
    )


def _ahead(seconds: float) -> str:
    return f"{abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}"
