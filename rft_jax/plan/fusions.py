"""What a fusion of a compiled program reads and writes: what it slices, gathers or updates in place counts in part."""

import math
from collections.abc import Iterator

from rft_jax.plan import collectives, flops
from rft_jax.plan.hlo import Array, Computation, Instruction, Program

SLICES = {"dynamic-slice", "slice", "gather"}
UPDATES = {"dynamic-update-slice": 1, "scatter": 2}  # which operand is written into the first one
# Look at each element once and pass it on: what reads a part of their result touches that part of their operand.
_ELEMENTWISE = {"bitcast", "reshape", "copy", "convert", "transpose", "negate", "optimization-barrier", "opt-barrier"}


def inside(program: Program, computation: Computation) -> Iterator[Computation]:
    """Yields a fusion's computation and those of the fusions in it."""
    yield computation
    for each in computation.instructions.values():
        if each.opcode == "fusion":
            yield from inside(program, program.called(each, "calls")[0])


def products(program: Program, fusion: Instruction) -> float:
    """Returns the FLOPs of a fusion."""
    return sum(
        flops.of(each, [inner.instructions[name] for name in each.operands])
        for inner in inside(program, program.called(fusion, "calls")[0])
        for each in inner.instructions.values()
        if each.opcode in ("dot", "convolution")
    )


def moved(program: Program, fusion: Instruction) -> float:
    """Returns the bytes that a fusion moves, but for the collectives in it."""
    (inner,) = program.called(fusion, "calls")
    read = sum(_read(program, inner, parameter) for parameter in inner.parameters)
    return read + sum(_written(program, inner, made, array) for made, array in _results(inner, fusion))


def _read(program: Program, inner: Computation, parameter: Instruction) -> float:
    whole = sum(array.in_memory for array in parameter.arrays)
    if len(parameter.arrays) != 1:
        return whole
    return min(whole, _elements(program, inner, parameter) * parameter.arrays[0].item_bytes)


def _elements(program: Program, inner: Computation, value: Instruction) -> float:
    """Returns how many elements of a value inside a fusion are looked at."""
    touched = 0.0
    for user, position in inner.users[value.name]:
        if user.opcode in SLICES and position == 0:
            touched += user.arrays[0].elements
        elif user.opcode in UPDATES and position == 0:
            touched += _updates(inner, user) if user.opcode == "scatter" else 0
        elif user.opcode in _ELEMENTWISE:
            touched += _elements(program, inner, user)
        elif user.opcode == "fusion":
            (nested,) = program.called(user, "calls")
            touched += _elements(program, nested, nested.parameters[position])
        elif user.opcode == "tuple" or collectives.part_of_one(user):
            pass  # passed on as it is, or counted with the collective
        else:
            return math.inf
    return touched


def _updates(inner: Computation, update: Instruction) -> float:
    return inner.instructions[update.operands[UPDATES[update.opcode]]].arrays[0].elements


def _results(inner: Computation, fusion: Instruction) -> list[tuple[Instruction, Array]]:
    """Returns what makes each array of a fusion's result; the fusion itself says in which memory it lies."""
    root = inner.root
    made = [inner.instructions[name] for name in root.operands] if root.opcode == "tuple" else [root]
    if len(made) != len(fusion.arrays):  # a nested tuple: whole arrays are the right bound
        made = [root] * len(fusion.arrays)
    return list(zip(made, fusion.arrays, strict=True))


def _written(program: Program, inner: Computation, made: Instruction, array: Array) -> float:
    while made.opcode in ("bitcast", "reshape"):
        made = inner.instructions[made.operands[0]]
    if made.opcode in UPDATES:
        return min(array.in_memory, _updates(inner, made) * array.item_bytes)
    if made.opcode == "parameter" or collectives.part_of_one(made):
        return 0.0
    if made.opcode == "fusion" and len(made.arrays) == 1:
        (nested,) = program.called(made, "calls")
        return _written(program, nested, nested.root, array)
    return array.in_memory
