"""The checks of what connects the machines: a collective over all devices, and one time."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.doctor.check import Check, Finding, Level, ProcessError

_BYTES, _CPU_BYTES = 64 << 20, 4 << 20  # that each device gives to the sum
_TIMES = 5
_SLOW = 1e9  # bytes per second: an accelerator's link is faster, unless something is set up wrongly
_CLOCK_S = 1.0  # by which clocks may differ


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
        seconds=20.0,
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
