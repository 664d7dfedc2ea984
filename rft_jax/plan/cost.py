"""What a compiled step costs one device: memory, FLOPs, bytes, and the seconds that the hardware cannot do without."""

import dataclasses
import re

import jax

from rft_jax.errors import UserError
from rft_jax.hardware import FULL
from rft_jax.plan import compiled, hlo, traffic
from rft_jax.plan.target import Target


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a step costs one device.

    Attributes:
        arguments: bytes of what the program takes: the state of a run, a batch.
        temporary: bytes that it needs beside, with results that do not replace arguments.
        flops: of all products, recomputed ones included.
        moved: bytes between the device and its memory, by opcode.
        sent: bytes to other devices, by kind of collective.
        abroad: those of them in collectives that join several hosts.
        busy: seconds of all kernels, each as long as its FLOPs or its bytes take at the device's best.
        network: seconds of the collectives, at the data sheet's rates.
    """

    arguments: float
    temporary: float
    flops: float = 0.0
    moved: dict[str, float] = dataclasses.field(default_factory=dict)
    sent: dict[str, float] = dataclasses.field(default_factory=dict)
    abroad: float = 0.0
    busy: float = 0.0
    network: float = 0.0

    @property
    def memory(self) -> float:
        """Bytes in all."""
        return self.arguments + self.temporary

    @property
    def seconds(self) -> float:
        """The floor: as if the collectives all ran beside the kernels."""
        return max(self.busy, self.network)

    def fits(self, memory: float) -> bool:
        """Whether it fits into so many bytes, with 5 % left for what is not in the program."""
        return self.memory <= FULL * memory

    def per(self, steps: int) -> "Cost":
        """Returns the cost of one of several steps; the memory stays."""
        part = self._combined(Cost(0.0, 0.0), 1 - 1 / steps)
        return dataclasses.replace(part, arguments=self.arguments, temporary=self.temporary)

    def _combined(self, other: "Cost", share: float) -> "Cost":
        """Returns what lies between two costs, or beyond: this one at a share of 0, the other at 1."""

        def mix(mine: float, others: float) -> float:
            return mine + share * (others - mine)

        def mix_all(mine: dict[str, float], others: dict[str, float]) -> dict[str, float]:
            return {kind: mix(mine.get(kind, 0.0), others.get(kind, 0.0)) for kind in mine | others}

        return Cost(
            arguments=mix(self.arguments, other.arguments),
            temporary=mix(self.temporary, other.temporary),
            flops=mix(self.flops, other.flops),
            moved=mix_all(self.moved, other.moved),
            sent=mix_all(self.sent, other.sent),
            abroad=mix(self.abroad, other.abroad),
            busy=mix(self.busy, other.busy),
            network=mix(self.network, other.network),
        )


def extended(fewer: Cost, more: Cost, layers: tuple[int, int], to: int) -> Cost:
    """Returns the cost with more layers than two programs have: every further layer costs what those between them do.

    Args:
        fewer, more: of programs that differ in the number of layers only.
        layers: how many they have.
        to: how many there are.
    """
    return fewer._combined(more, (to - layers[0]) / (layers[1] - layers[0]))


def of(lowered: jax.stages.Lowered, target: Target, guesses: traffic.Guesses | None = None) -> Cost:
    """Compiles a program and returns what it costs; memory alone where the vendor's compiler is not there.

    Args:
        lowered: for the target.
        target: the devices.
        guesses: what the program's text does not tell.

    Raises:
        UserError: this version of JAX cannot tell.
    """
    made = compiled.of(lowered, target)
    if made.refusal:
        return of_refusal(made.refusal)
    cost = Cost(made.arguments, made.temporary)
    if not target.vendor:
        return cost
    found = kernels(made.text, target, guesses)
    moved: dict[str, float] = {}
    sent: dict[str, float] = {}
    for kernel in found:
        moved[kernel.opcode] = moved.get(kernel.opcode, 0.0) + kernel.times * kernel.bytes
        if kernel.sent:
            sent[kernel.opcode] = sent.get(kernel.opcode, 0.0) + kernel.times * kernel.sent
    return dataclasses.replace(
        cost,
        flops=sum(kernel.times * kernel.flops for kernel in found),
        moved=moved,
        sent=sent,
        abroad=sum(kernel.times * kernel.sent for kernel in found if kernel.hosts),
        busy=sum(kernel.times * seconds(kernel, target) for kernel in found if not kernel.sent),
        network=sum(kernel.times * seconds(kernel, target) for kernel in found if kernel.sent),
    )


def of_refusal(error: str) -> Cost:
    """Returns the memory that a TPU's compiler would have needed: it refuses what does not fit.

    Raises:
        UserError: it failed for another reason.
    """
    found = re.search(r"(?:Used |temporaries \()([\d.]+)([GM])", error)
    if found is None:
        raise UserError(f"the compiler failed: {error.splitlines()[0]}")
    used = float(found[1]) * 2 ** (30 if found[2] == "G" else 20)
    arguments = re.search(r"arguments\s+([\d.]+)([GM])", error)
    taken = float(arguments[1]) * 2 ** (30 if arguments[2] == "G" else 20) if arguments else 0.0
    return Cost(taken, used - taken)


def kernels(text: str, target: Target, guesses: traffic.Guesses | None = None) -> list[traffic.Kernel]:
    """Returns what one device runs, from its program's HLO; the other arguments are as for `of`."""
    return traffic.kernels(hlo.read(text), devices=len(target.devices), per_host=target.per_host, guesses=guesses)


def seconds(kernel: traffic.Kernel, target: Target) -> float:
    """Returns the least that a kernel takes each time: as long as its FLOPs, its bytes, or what it sends."""
    known = target.known
    link = (known.between if kernel.hosts else known.inside) or float("inf")
    return max(kernel.flops / known.best, kernel.bytes / known.best_bandwidth, kernel.sent / link)
