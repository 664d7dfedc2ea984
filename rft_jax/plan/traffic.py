"""Counts what a compiled program moves and computes on one device, kernel by kernel, from its HLO.

A kernel is what the device runs at once: a fusion, a library call, a copy. It reads its operands and writes its
results in full, but for what is sliced, gathered or updated in place, which counts by what is touched; loops count by
their trips. What is estimated: intermediate results that stay in a cache between two kernels count as moved (so the
bytes are at most these); a gather counts every index, also repeated ones; of a branch the most expensive way counts;
a loop whose trips the compiler does not know, and a kernel of our own, count as the caller says (`Guesses`); attention
kernels of libraries count as causal: half of the square.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from rft_jax.plan import flops
from rft_jax.plan.hlo import Array, Computation, Instruction, Program

COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-permute")
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
# Look at each element once and pass it on: what reads a part of their result touches that part of their operand.
_ELEMENTWISE = {"bitcast", "reshape", "copy", "convert", "transpose", "negate", "optimization-barrier", "opt-barrier"}
_SLICES = {"dynamic-slice", "slice", "gather"}
_UPDATES = {"dynamic-update-slice": 1, "scatter": 2}  # which operand is written into the first one


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

    def computation(self, computation: Computation, times: float, depth: int) -> Iterator[Kernel]:
        for each in computation.instructions.values():
            yield from self.instruction(each, computation, times, depth)

    def called(self, instruction: Instruction, *attributes: str) -> list[Computation]:
        names = [name for attribute in attributes for name in instruction.called.get(attribute, [])]
        return [self.program.computations[name] for name in names]

    def instruction(self, each: Instruction, where: Computation, times: float, depth: int) -> Iterator[Kernel]:
        opcode = each.opcode.removesuffix("-start")
        if each.opcode.endswith(("-done", "-update")) and each.opcode != "dynamic-update-slice":
            return  # counted where it starts
        if opcode in _FREE or (opcode == "custom-call" and each.attribute(r'target="([^"]*)"') in _FREE_CALLS):
            return
        if opcode in COLLECTIVES:
            yield self.collective(each, opcode, where, times)
        elif opcode == "while":
            known = each.attribute(r'known_trip_count":\{"n":"(\d+)"')
            trips = float(known) if known else self.guesses.trips(each, depth)
            for called in self.called(each, "condition", "body"):
                yield from self.computation(called, times * trips, depth + 1)
        elif opcode == "conditional":
            ways = self.called(each, "branch_computations", "true_computation", "false_computation")
            counted = [list(self.computation(way, times, depth)) for way in ways]
            yield from max(counted, key=lambda way: sum(kernel.times * (kernel.bytes + kernel.sent) for kernel in way))
        elif opcode in ("call", "async"):
            for called in self.called(each, "to_apply", "calls"):
                yield from self.computation(called, times, depth)
        elif opcode == "fusion":
            yield from self.fusion(each, times)
        else:
            operands = [where.instructions[name] for name in each.operands]
            guess = self.guesses.kernel_bytes(each, operands) if opcode == "custom-call" else None
            moved = _moved(each, operands) if guess is None else guess
            yield Kernel(each.name, opcode, each.label, times, moved, flops.of(each, operands))

    def collective(self, each: Instruction, opcode: str, where: Computation, times: float) -> Kernel:
        given = sum(array.bytes for name in each.operands for array in where.instructions[name].arrays)
        members, crosses = _group(each, self.devices, self.per_host)
        share = (members - 1) / members
        match opcode:
            case "all-gather":
                sent, moved = given * (members - 1), given * (members + 1)
            case "reduce-scatter":
                sent, moved = given * share, given * (1 + 1 / members)
            case "all-reduce":
                sent, moved = 2 * given * share, 2 * given
            case "collective-permute":
                sent, moved = given, 2 * given
            case _:
                sent, moved = given * share, 2 * given
        return Kernel(each.name, opcode, each.label, times, moved, 0.0, sent, crosses)

    def fusion(self, each: Instruction, times: float) -> Iterator[Kernel]:
        (inner,) = self.called(each, "calls")
        # A TPU's compiler puts the steps of a collective into the kernel that it runs beside.
        moved = sum(self.read(inner, parameter) for parameter in inner.parameters)
        moved += sum(self.written(inner, made, array) for made, array in _results(inner, each))
        yield Kernel(each.name, "fusion", each.label, times, moved, self.flops(inner))
        for computation in self.inside(inner):
            for one in computation.instructions.values():
                if one.opcode.removesuffix("-start") in COLLECTIVES:
                    yield self.collective(one, one.opcode.removesuffix("-start"), computation, times)

    def inside(self, computation: Computation) -> Iterator[Computation]:
        yield computation
        for each in computation.instructions.values():
            if each.opcode == "fusion":
                for called in self.called(each, "calls"):
                    yield from self.inside(called)

    def flops(self, computation: Computation) -> float:
        return sum(
            flops.of(each, [inner.instructions[name] for name in each.operands])
            for inner in self.inside(computation)
            for each in inner.instructions.values()
            if each.opcode in ("dot", "convolution")
        )

    def read(self, inner: Computation, value: Instruction) -> float:
        """Returns the bytes that a fusion reads of one of its parameters."""
        whole = sum(array.bytes for array in value.arrays)
        if len(value.arrays) != 1:
            return whole
        return min(whole, self.elements(inner, value) * value.arrays[0].item_bytes)

    def elements(self, inner: Computation, value: Instruction) -> float:
        """Returns how many elements of a value inside a fusion are looked at."""
        touched = 0.0
        for user, position in inner.users[value.name]:
            if user.opcode in _SLICES and position == 0:
                touched += user.arrays[0].elements
            elif user.opcode in _UPDATES and position == 0:
                touched += user.opcode == "scatter" and self.updates(inner, user)
            elif user.opcode in _ELEMENTWISE:
                touched += self.elements(inner, user)
            elif user.opcode == "fusion":
                (nested,) = self.called(user, "calls")
                touched += self.elements(nested, nested.parameters[position])
            elif user.opcode == "tuple":
                touched += 0  # passed on as it is
            else:
                return math.inf
        return touched

    def updates(self, inner: Computation, update: Instruction) -> float:
        new = inner.instructions[update.operands[_UPDATES[update.opcode]]]
        return new.arrays[0].elements

    def written(self, inner: Computation, made: Instruction, array: Array) -> float:
        """Returns the bytes that a fusion writes of one of its results, from what makes it."""
        while made.opcode in ("bitcast", "reshape"):
            made = inner.instructions[made.operands[0]]
        if made.opcode in _UPDATES:
            return self.updates(inner, made) * array.item_bytes
        if made.opcode == "parameter":
            return 0.0
        if made.opcode == "fusion" and len(made.arrays) == 1:
            (nested,) = self.called(made, "calls")
            return self.written(nested, nested.root, array)
        return array.bytes


def _results(inner: Computation, outer: Instruction) -> list[tuple[Instruction, Array]]:
    """Returns what makes each array of a fusion's result; its memory is the one that the fusion itself names."""
    root = inner.root
    made = [inner.instructions[name] for name in root.operands] if root.opcode == "tuple" else [root]
    if len(made) != len(outer.arrays):  # a nested tuple: whole arrays are the right bound
        made = [root] * len(outer.arrays)
    return list(zip(made, outer.arrays, strict=True))


def _moved(each: Instruction, operands: list[Instruction]) -> float:
    """Returns the bytes that an instruction outside of fusions moves."""
    if each.opcode in ("copy-start", "slice-start", "dynamic-slice-start"):
        # The result holds source and target; only the target and as much of the source are touched.
        target = each.arrays[0]
        source = operands[0].arrays[0]
        return target.bytes + min(target.elements, source.elements) * source.item_bytes
    written = sum(array.bytes for array in each.arrays if not _scratch(each, array))
    read = [sum(array.bytes for array in operand.arrays) for operand in operands]
    if each.opcode in _SLICES:
        return 2 * written + sum(read[1:])
    if each.opcode in _UPDATES:
        new = read[_UPDATES[each.opcode]]
        return (2 if each.opcode == "dynamic-update-slice" else 3) * new + (read[1] if each.opcode == "scatter" else 0)
    return written + sum(read)


def _scratch(each: Instruction, array: Array) -> bool:
    """Whether a result of a library call is its working memory."""
    return each.opcode == "custom-call" and len(each.arrays) > 1 and array.dtype in ("s8", "u8")


def _group(each: Instruction, devices: int, per_host: int) -> tuple[int, bool]:
    """Returns how many devices a collective joins, and whether they are on several hosts."""
    groups = replica_groups(each, devices)
    crosses = any(len({device // per_host for device in group}) > 1 for group in groups)
    return max(len(group) for group in groups), crosses


def replica_groups(each: Instruction, devices: int) -> list[list[int]]:
    """Returns the devices that each collective of an instruction joins."""
    if pairs := each.attribute(r"source_target_pairs=\{((?:\{[\d,]+\},?)*)\}"):
        return [[int(number) for number in pair.split(",")] for pair in pairs.strip("{}").split("},{")]
    if listed := each.attribute(r"replica_groups=\{(\{[\d,{} ]*\})\}"):
        return [[int(number) for number in group.split(",")] for group in listed.strip("{}").split("},{")]
    if iota := each.attribute(r"replica_groups=(\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?)"):
        shape, _, order = iota.partition("<=")
        rows, columns = (int(side) for side in shape.strip("[]").split(","))
        sides, _, axes = order.partition("T")
        numbers = np.arange(rows * columns).reshape([int(side) for side in sides.strip("[]").split(",")])
        if axes:
            numbers = numbers.transpose([int(axis) for axis in axes.strip("()").split(",")])
        return [[int(number) for number in group] for group in numbers.reshape(rows, columns)]
    return [list(range(devices))]
