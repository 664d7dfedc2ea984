"""Floating-point operations of one instruction of a compiled program: its products. The rest is little beside them."""

import json
import math
import re

from rft_jax.plan.hlo import Array, Instruction


def of(each: Instruction, operands: list[Instruction]) -> float:
    """Returns the operations of an instruction with these operands; 0 if it is no product that is known here."""
    if each.opcode == "dot":
        sides = operands[0].arrays[0].sides
        axes = each.attribute(r"lhs_contracting_dims=\{([\d,]*)\}") or ""
        return 2.0 * each.arrays[0].elements * math.prod(sides[int(axis)] for axis in axes.split(",") if axis)
    if each.opcode == "convolution":
        return _convolution(each, operands)
    if each.opcode == "custom-call":
        return _library(each, operands)
    return 0.0


def _library(each: Instruction, operands: list[Instruction]) -> float:
    target = each.attribute(r'custom_call_target="([^"]*)"') or ""
    if "gemm" in target or "matmul" in target:
        contracted = re.search(r'"lhs_contracting_dimensions":(\["?[\d", ]*\])', each.attributes)
        axes = [int(axis) for axis in json.loads(contracted[1])] if contracted else []
        return 2.0 * each.arrays[0].elements * math.prod(operands[0].arrays[0].sides[axis] for axis in axes)
    # Products of queries with keys and the like: forward two, backward five, or three and four in a kernel each.
    if "fmha" in target:
        return _attention(operands, products=5 if "Backward" in target else 2)
    if "splash" in each.name:
        return _attention(operands, products=3 if "_dq" in each.name else 4 if "_dkv" in each.name else 2)
    return 0.0


def _attention(operands: list[Instruction], products: int) -> float:
    """Products on half of the square; queries and keys are [B, T, N, H] or [B, N, T, H], T the longest."""
    arrays = [array for operand in operands for array in operand.arrays if len(array.sides) >= 3 and _wide(array)]
    if len(arrays) < 3:
        return 0.0
    query, key = arrays[0], arrays[1]
    length = max(key.sides[1:-1])
    return float(products) * query.elements * length


def _wide(array: Array) -> bool:
    return array.dtype in ("bf16", "f16", "f32")


def _convolution(each: Instruction, operands: list[Instruction]) -> float:
    """A TPU's compiler writes products as convolutions; those of several heads with windows that mostly hit padding."""
    labels = each.attribute(r"dim_labels=(\w+_\w+->\w+)")
    assert labels is not None
    left, right, out = re.split(r"_|->", labels)
    sizes = [
        dict(zip(names, array.arrays[0].sides, strict=True))
        for names, array in zip((left, right), operands, strict=False)
    ]
    result = dict(zip(out, each.arrays[0].sides, strict=True))
    fields = dict(re.findall(r"(\w+)=([\dx_\-]+)", each.attribute(r"window=\{([^}]*)\}") or ""))
    spatial = sorted(name for name in left if name.isdigit())
    total = 2.0 * result["b"] * result["f"] * sizes[1]["i"]
    for position, name in enumerate(spatial):
        total *= _hits(sizes[0][name], sizes[1][name], result[name], fields, position)
    return total


def _hits(length: int, window: int, out: int, fields: dict[str, str], position: int) -> int:
    """Returns how many pairs of an output and a place in the window fall on an element, along one axis."""

    def field(name: str, default: str) -> str:
        return fields[name].split("x")[position] if name in fields else default

    stride, spread, dilated = (int(field(name, "1")) for name in ("stride", "lhs_dilate", "rhs_dilate"))
    before = int(field("pad", "0_0").split("_")[0])
    hits = 0
    for place in range(window):
        offset = place * dilated - before
        if spread == 1:
            low = max(0, math.ceil(-offset / stride))
            high = min(out - 1, (length - 1 - offset) // stride)
            hits += max(0, high - low + 1)
        else:
            hits += sum(
                (at := number * stride + offset) % spread == 0 and 0 <= at // spread < length for number in range(out)
            )
    return hits
