"""Reads the text of a compiled XLA program (HLO), as far as counting needs it: instructions, shapes, operands."""

import dataclasses
import functools
import math
import re

_BITS = {
    "pred": 8,
    "s4": 4,
    "u4": 4,
    "bf16": 16,
    "c64": 64,
    "c128": 128,
    "token": 0,
    "opaque": 0,
}  # of other types their names tell
_LEAF = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{[^}]*?(?:S\((\d+)\))?\})?")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_CALLED = re.compile(r"(calls|to_apply|body|condition|branch_computations|true_computation|false_computation)=")
_COMMENT = re.compile(r"/\*.*?\*/")


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of an instruction's result.

    Attributes:
        dtype: XLA's name, such as bf16.
        sides: of the array.
        space: the compiler's number of the memory it lies in: 0 the device's own, others on the chip or on the host.
    """

    dtype: str
    sides: tuple[int, ...]
    space: int = 0

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.sides)

    @property
    def item_bytes(self) -> float:
        """Bytes per element."""
        digits = re.search(r"\d+", self.dtype)
        return _BITS.get(self.dtype, int(digits.group()) if digits else 0) / 8

    @property
    def bytes(self) -> float:
        """Bytes in all."""
        return self.elements * self.item_bytes

    @property
    def in_memory(self) -> float:
        """Bytes in the device's own memory."""
        return 0.0 if self.space else self.bytes


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: unique in the program.
        opcode: such as fusion.
        arrays: its result; several for a tuple, nested ones flattened.
        operands: names of instructions in the same computation; of a parameter its number, of a constant its value.
        attributes: the rest of the line, as it stands.
        root: whether it is its computation's result.
    """

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    attributes: str
    root: bool

    @functools.cached_property
    def called(self) -> dict[str, list[str]]:
        """The computations that it calls, by the attribute that names them."""
        found: dict[str, list[str]] = {}
        for match in _CALLED.finditer(self.attributes):
            rest = self.attributes[match.end() :]
            names = rest[1 : rest.index("}")] if rest.startswith("{") else re.split(r"[,\s]", rest, maxsplit=1)[0]
            found.setdefault(match[1], []).extend(name.strip().lstrip("%") for name in names.split(","))
        return found

    def attribute(self, pattern: str) -> str | None:
        """Returns the first group of a regular expression in the attributes, or None."""
        match = re.search(pattern, self.attributes)
        return match[1] if match else None

    @property
    def label(self) -> str:
        """The operations of JAX that it was made from."""
        return self.attribute(r'op_name="([^"]*)"') or self.name


@dataclasses.dataclass(frozen=True)
class Computation:
    """A function of a program: its instructions by name, in their order."""

    name: str
    instructions: dict[str, Instruction]

    @property
    def root(self) -> Instruction:
        """Its result."""
        return next(each for each in self.instructions.values() if each.root)

    @functools.cached_property
    def users(self) -> dict[str, list[tuple[Instruction, int]]]:
        """For each instruction those that read it, and as which operand."""
        found: dict[str, list[tuple[Instruction, int]]] = {name: [] for name in self.instructions}
        for each in self.instructions.values():
            if each.opcode != "parameter":
                for position, operand in enumerate(each.operands):
                    if operand in found:
                        found[operand].append((each, position))
        return found

    @functools.cached_property
    def parameters(self) -> list[Instruction]:
        """Its parameters, in their order."""
        found = (each for each in self.instructions.values() if each.opcode == "parameter")
        return sorted(found, key=lambda each: int(each.operands[0]))


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program: the computations by name, and the name of the one that runs first."""

    computations: dict[str, Computation]
    entry: str

    def called(self, instruction: Instruction, *attributes: str) -> list[Computation]:
        """Returns the computations that an instruction calls by these attributes."""
        names = [name for attribute in attributes for name in instruction.called.get(attribute, [])]
        return [self.computations[name] for name in names]


def read(text: str) -> Program:
    """Reads a program as `jax.stages.Compiled.as_text` gives it.

    Raises:
        ValueError: it has no entry computation.
    """
    computations: dict[str, Computation] = {}
    entry, current = None, None
    for line in text.splitlines():
        line = _COMMENT.sub("", line)
        if current is None:
            header = _HEADER.match(line)
            if header and " = " not in line.split("{")[0]:
                current = computations[header[2]] = Computation(header[2], {})
                entry = header[2] if header[1] else entry
        elif line == "}" or line.startswith("}, "):
            current = None
        elif start := _LINE.match(line):
            made = _instruction(start[2], line[start.end() :], root=bool(start[1]))
            current.instructions[made.name] = made
        elif current.instructions:  # what libraries write into attributes may have several lines
            _, made = current.instructions.popitem()
            current.instructions[made.name] = dataclasses.replace(made, attributes=made.attributes + line)
    if entry is None:
        raise ValueError("the compiled program has no entry computation")
    return Program(computations, entry)


def _instruction(name: str, text: str, root: bool) -> Instruction:
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    arrays = tuple(
        Array(leaf[1], tuple(int(side.lstrip("<=")) for side in leaf[2].split(",") if side), int(leaf[3] or 0))
        for leaf in _LEAF.finditer(text[:end])
    )
    opening = text.index("(", end)
    opcode, closing = text[end:opening].strip(), _closing(text, opening)
    inside = text[opening + 1 : closing]
    if opcode == "constant":
        operands: tuple[str, ...] = (inside,)
    else:
        operands = tuple(part.split()[-1].lstrip("%") for part in _split(inside))
    return Instruction(name, opcode, arrays, operands, text[closing + 1 :], root)


def _closing(text: str, opening: int) -> int:
    """Returns where the parenthesis that opens at a place closes."""
    depth = 0
    for match in re.compile(r"[()]").finditer(text, opening):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.start()
    raise ValueError(f"a parenthesis does not close: {text[:200]}")


def _split(text: str) -> list[str]:
    """Splits at the commas that are outside of all brackets."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r"[(){}\[\],]", text):
        if match[0] in "({[":
            depth += 1
        elif match[0] in ")}]":
            depth -= 1
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [part for part in (*parts, text[start:]) if part.strip()]
