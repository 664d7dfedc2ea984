"""The checks of software, processes, devices and their mesh."""

import collections
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from rft_jax import hardware, provenance, runtime
from rft_jax.config import MeshConfig
from rft_jax.distributed import processes
from rft_jax.doctor.check import Check, Finding, Level, ProcessError

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
            "share_chosen": runtime.gpu_memory_chosen(os.environ),
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
