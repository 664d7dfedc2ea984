"""Collectives of a compiled program: which devices they join, and what each device sends."""

import math
import re

import numpy as np

from rft_jax.plan.hlo import Instruction

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-permute")


def traffic(kind: str, given: float, members: int) -> tuple[float, float]:
    """Returns the bytes that a device sends, and those that it moves in its memory, by the best algorithms there are.

    Args:
        kind: one of KINDS.
        given: bytes that each device gives.
        members: devices that it joins.
    """
    share = (members - 1) / members
    match kind:
        case "all-gather":
            return given * (members - 1), given * (members + 1)
        case "reduce-scatter":
            return given * share, given * (1 + 1 / members)
        case "all-reduce":
            return 2 * given * share, 2 * given
        case "collective-permute":
            return given, 2 * given
        case _:
            return given * share, 2 * given


def part_of_one(each: Instruction) -> bool:
    """Whether an instruction in a fusion is a collective, or a step of one that the compiler has put there."""
    target = (each.attribute(r'target="([^"]*)"') or "") if each.opcode == "custom-call" else ""
    return each.opcode in KINDS or target.startswith("AsyncCollective")


def replica_groups(each: Instruction, devices: int) -> list[list[int]]:
    """Returns the devices that each collective of an instruction joins."""
    if pairs := each.attribute(r"source_target_pairs=\{((?:\{[\d,]+\},?)*)\}"):
        return [[int(number) for number in pair.split(",")] for pair in pairs.strip("{}").split("},{")]
    if listed := each.attribute(r"replica_groups=\{(\{[\d,{} ]*\})\}"):
        return [[int(number) for number in group.split(",")] for group in listed.strip("{}").split("},{")]
    if meshed := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", each.attributes):
        sides = {name: int(size) for name, size in re.findall(r"('\w+')=(\d+)", meshed[1])}
        if math.prod(sides.values()) == devices and set(together := meshed[2].split(",")) <= sides.keys():
            apart = [name for name in sides if name not in together]
            axes = [list(sides).index(name) for name in (*apart, *together)]
            numbers = np.arange(devices).reshape(list(sides.values())).transpose(axes)
            return numbers.reshape(-1, math.prod(sides[name] for name in together)).tolist()
    if iota := each.attribute(r"replica_groups=(\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?)"):
        shape, _, order = iota.partition("<=")
        rows, columns = (int(side) for side in shape.strip("[]").split(","))
        lengths, _, swapped = order.partition("T")
        numbers = np.arange(rows * columns).reshape([int(side) for side in lengths.strip("[]").split(",")])
        if swapped:
            numbers = numbers.transpose([int(axis) for axis in swapped.strip("()").split(",")])
        return numbers.reshape(rows, columns).tolist()
    return [list(range(devices))]
