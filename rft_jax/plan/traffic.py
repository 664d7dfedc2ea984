"""Counts what a compiled program moves and computes on one device, kernel by kernel, from its HLO.

A kernel is what the device runs at once: a fusion, a library call, a copy. It reads its operands and writes its
results in full, but for what is sliced, gathered or updated in place, which counts by what is touched; loops count by
their trips. What is estimated: intermediate results that stay in a cache between two kernels count as moved (so the
bytes are at most these); a gather counts every index, also repeated ones; of a branch the most expensive way counts;
a loop whose trips the compiler does not know, and a kernel of our own, count as the caller says (`Guesses`); attention
kernels of libraries count as causal: half of the square.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator

from rft_jax.plan import collectives, flops, fusions
from rft_jax.plan.hlo import Array, Computation, Instruction, Program

# Names for what is there already; nothing runs.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id",
    "opt-barrier", "optimization-barrier", "add-dependency", "domain", "get-dimension-size",
}  # fmt: skip
_FREE_CALLS = {
    "AllocateBuffer",
    "Sharding",
    "SPMDFullToShardShape",
    "SPMDShardToFullShape",
    "AssumeGatherIndicesInBound",
}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What the device runs at once, or sends.

    Attributes:
        name: of the instruction.
        opcode: fusion, custom-call, copy, … or the name of a collective.
        label: the operations of JAX that it was made from.
        times: how often it runs.
        bytes: moved between the device and its memory, each time.
        flops: floating-point operations of its products, each time.
        sent: bytes that leave the device for others, each time; 0 but for collectives.
        hosts: whether some of them go to another host.
    """

    name: str
    opcode: str
    label: str
    times: float
    bytes: float
    flops: float
    sent: float = 0.0
    hosts: bool = False


@dataclasses.dataclass(frozen=True)
class Guesses:
    """What a program's text does not tell.

    Attributes:
        trips: of a loop whose trips the compiler does not know; takes the loop and how many loops are around it.
        kernel_bytes: moved by a kernel of our own, of itself and its operands, where those in full are too much; None:
            they are right.
    """

    trips: Callable[[Instruction, int], float] = lambda loop, depth: 1.0
    kernel_bytes: Callable[[Instruction, list[Instruction]], float | None] = lambda kernel, operands: None


def kernels(program: Program, *, devices: int, per_host: int, guesses: Guesses | None = None) -> list[Kernel]:
    """Returns what one device runs, in the program's order.

    Args:
        program: compiled, of one device.
        devices: that run it together.
        per_host: devices of a host.
        guesses: what the program does not tell.
    """
    count = _Count(program, devices, per_host, guesses or Guesses())
    return list(count.computation(program.computations[program.entry], 1.0, 0))


@dataclasses.dataclass(frozen=True)
class _Count:
    program: Program
    devices: int
    per_host: int
    guesses: Guesses
    channels: set[str] = dataclasses.field(default_factory=set)  # of the collectives that are counted already

    def computation(self, computation: Computation, times: float, depth: int) -> Iterator[Kernel]:
        for each in computation.instructions.values():
            yield from self.instruction(each, computation, times, depth)

    def instruction(self, each: Instruction, where: Computation, times: float, depth: int) -> Iterator[Kernel]:
        opcode = each.opcode.removesuffix("-start")
        if each.opcode.endswith(("-done", "-update")) and each.opcode != "dynamic-update-slice":
            return  # counted where it starts
        if opcode in _FREE or (opcode == "custom-call" and each.attribute(r'target="([^"]*)"') in _FREE_CALLS):
            return
        if opcode in collectives.KINDS:
            yield self.collective(each, opcode, where, times)
        elif opcode == "while":
            known = self.trips(each, where)
            trips = self.guesses.trips(each, depth) if known is None else known
            for called in self.program.called(each, "condition", "body"):
                yield from self.computation(called, times * trips, depth + 1)
        elif opcode == "conditional":
            ways = self.program.called(each, "branch_computations", "true_computation", "false_computation")
            counted = [list(self.computation(way, times, depth)) for way in ways]
            yield from max(counted, key=lambda way: sum(kernel.times * (kernel.bytes + kernel.sent) for kernel in way))
        elif opcode in ("call", "async"):
            for called in self.program.called(each, "to_apply", "calls"):
                yield from self.computation(called, times, depth)
        elif opcode == "fusion":
            yield from self.fusion(each, times)
        else:
            operands = [where.instructions[name] for name in each.operands]
            guess = self.guesses.kernel_bytes(each, operands) if opcode == "custom-call" else None
            moved = _moved(each, operands) if guess is None else guess
            yield Kernel(each.name, opcode, each.label, times, moved, flops.of(each, operands))

    def trips(self, loop: Instruction, where: Computation) -> float | None:
        """Returns how often a loop runs, if its text tells: the compiler says so, or it counts up to a constant."""
        if known := loop.attribute(r'known_trip_count":\{"n":"(\d+)"'):
            return float(known)
        (condition,) = self.program.called(loop, "condition")
        test = condition.root
        if test.opcode != "compare" or "direction=LT" not in test.attributes:
            return None
        counter, limit = (_constant(condition, name, (loop, where)) for name in test.operands)
        return None if counter is None or limit is None else max(0.0, limit - counter)

    def collective(self, each: Instruction, kind: str, where: Computation, times: float) -> Kernel:
        given = sum(array.bytes for name in each.operands for array in where.instructions[name].arrays)
        groups = collectives.replica_groups(each, self.devices)
        crosses = any(len({device // self.per_host for device in group}) > 1 for group in groups)
        sent, moved = collectives.traffic(kind, given, max(len(group) for group in groups))
        return Kernel(each.name, kind, each.label, times, moved, 0.0, sent, crosses)

    def fusion(self, each: Instruction, times: float) -> Iterator[Kernel]:
        moved, products = fusions.moved(self.program, each), fusions.products(self.program, each)
        yield Kernel(each.name, "fusion", each.label, times, moved, products)
        # A TPU's compiler puts a collective, step by step, into the kernels that it runs beside.
        for inner in fusions.inside(self.program, self.program.called(each, "calls")[0]):
            for one in inner.instructions.values():
                channel = one.attribute(r"channel_id=(\d+)") or one.name
                if one.opcode in collectives.KINDS and channel not in self.channels:
                    self.channels.add(channel)
                    yield self.collective(one, one.opcode, inner, times)


def _constant(
    computation: Computation, name: str, around: tuple[Instruction, Computation] | None = None
) -> float | None:
    """Returns the constant that a number is, or begins as where it is part of what a loop carries; None if it is none.

    Args:
        computation: where the number is.
        name: of the number.
        around: the loop whose condition this is, and where it stands.
    """
    each = computation.instructions.get(name)
    match each.opcode if each else None:
        case "constant":
            assert each is not None
            return float(each.operands[0]) if re.fullmatch(r"-?\d+", each.operands[0]) else None
        case "copy" | "bitcast" | "convert":
            assert each is not None
            return _constant(computation, each.operands[0], around)
        case "get-tuple-element" if around:
            assert each is not None
            loop, where = around
            carried = where.instructions[loop.operands[0]]
            place = int(each.attribute(r"index=(\d+)") or 0)
            return _constant(where, carried.operands[place]) if carried.opcode == "tuple" else None
        case _:
            return None


def _moved(each: Instruction, operands: list[Instruction]) -> float:
    """Returns the bytes that an instruction outside of fusions moves."""
    if each.opcode.endswith("-start"):  # copy, slice, dynamic-slice: the result holds source and target
        target = min((array for array in each.arrays if array.sides), key=lambda array: array.elements)
        source = operands[0].arrays[0]
        return target.in_memory + (0.0 if source.space else target.elements * source.item_bytes)
    written = sum(array.in_memory for array in each.arrays if not _scratch(each, array))
    read = [sum(array.in_memory for array in operand.arrays) for operand in operands]
    if each.opcode in fusions.SLICES:
        return 2 * written + sum(read[1:])
    if each.opcode in fusions.UPDATES:
        new = read[fusions.UPDATES[each.opcode]]
        return (2 if each.opcode == "dynamic-update-slice" else 3) * new + (read[1] if each.opcode == "scatter" else 0)
    return written + sum(read)


def _scratch(each: Instruction, array: Array) -> bool:
    """Whether a result of a library call is its working memory."""
    return each.opcode == "custom-call" and len(each.arrays) > 1 and array.dtype in ("s8", "u8")
