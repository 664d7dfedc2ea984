"""Batches as a function of seed and step: shuffled epochs, nested subsets, several examples packed per row.

Nothing is kept between steps, so a run resumes from its step alone, and every process can make every batch.
"""

import dataclasses
import functools
import math
from typing import Generic, Literal, TypeVar

import numpy as np

from rft_jax import ranges
from rft_jax.config import Count, Part
from rft_jax.data.examples import Examples
from rft_jax.data.fraction import in_use, shuffled
from rft_jax.errors import UserError
from rft_jax.model.flash import SHARED

Packing = Literal["prefix", "rows", "none"]
Normalisation = Literal["token_mean", "group_mean"]
Array = TypeVar("Array")  # numpy's on the host, JAX's on the devices

_ROUNDING = 16  # row counts are rounded up to about a sixteenth, so that a run compiles two or three programs, not ten
_UNPACKED_GRANULE = 64  # likewise the length of unpacked rows, in tokens


@dataclasses.dataclass(frozen=True)
class Batch(Generic[Array]):
    """The examples of one step as A parts of B rows of T tokens.

    Attributes:
        tokens: int32 [A, B, T], what the model reads.
        targets: int32 [A, B, T], the token that follows in the same example.
        segments: int32 [A, B, T], the number of the example in its row, from 1; 0 is padding, flash.SHARED the prefix.
        positions: int32 [A, B, T], counted from 0 in each example.
        weights: float32 [A, B, T]; the loss is the sum of weight × negative log-likelihood of the target. Both
            normalisations of the loss are in here, so packing and accumulation cannot change it.
    """

    tokens: Array
    targets: Array
    segments: Array
    positions: Array
    weights: Array


@dataclasses.dataclass(frozen=True)
class Batches:
    """All batches of a run.

    Attributes:
        examples: what there is to train on.
        fraction: of the examples to use; a smaller fraction is a subset of a larger one, whatever the seed.
        epochs: passes over the examples in use.
        size: examples per step; the last step takes what is left.
        seed: of the order.
        packing: "rows" fills rows of `row_length` with several examples; "prefix" does too, and what all examples
            begin with (the template) stands once per row, for all to see: the same loss with an eighth fewer tokens on
            GSM8K. "none" pads each example to the longest of the step.
        row_length: T when packing, in tokens.
        normalisation: "token_mean" over the step, or "group_mean": the mean of the token means of groups of
            `loss_group` examples, as the reference has it.
        loss_group: examples per group.
        data_parallel_size: parts that the mesh splits the rows into (data × fsdp).
        accumulation: A, gradient accumulation parts.
    """

    examples: Examples
    fraction: Part
    epochs: Count
    size: Count
    seed: int
    packing: Packing
    row_length: Count
    normalisation: Normalisation
    loss_group: Count
    data_parallel_size: int
    accumulation: Count

    def __post_init__(self) -> None:
        ranges.check(self)
        longest = int(self.examples.lengths.max()) - 1  # the last token is only a target
        if self.packing != "none" and longest > self.row_length:
            raise UserError(
                f"an example of {longest + 1} tokens does not fit a row of {self.row_length}: set row_length to at "
                f"least {longest} or max_length to at most {self.row_length + 1}"
            )
        if self.packing == "none" and self.size % self._quantum:
            below, above = self.size // self._quantum * self._quantum, _round_up(self.size, self._quantum)
            raise UserError(
                f"a batch of {self.size} unpacked examples does not divide over {self.data_parallel_size} devices "
                f"(mesh.data × mesh.fsdp) × accumulation {self.accumulation}; these would: "
                f"{f'{below} or ' if below else ''}{above}; packing=rows takes any batch"
            )

    @functools.cached_property
    def chosen(self) -> np.ndarray:
        """Numbers of the examples in use, int64, ascending."""
        everything = len(self.examples)
        # Not the run's seed: the subsets are the same for all runs, as the paper's scaling curves need them.
        order = shuffled(np.arange(everything), seed=0, stream=2**64 - 1)
        return np.sort(order[: in_use(everything, self.fraction)])

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        return math.ceil(len(self.chosen) * self.epochs / self.size)

    def numbers(self, step: int) -> np.ndarray:
        """Returns the numbers of a step's examples (steps count from 0): a slice of all epochs laid end to end."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of a run of {self.steps}")
        total = len(self.chosen)
        first, last = step * self.size, min((step + 1) * self.size, total * self.epochs)
        epochs = range(first // total, (last - 1) // total + 1)
        joined = np.concatenate([shuffled(self.chosen, self.seed, epoch) for epoch in epochs])
        return joined[first - epochs[0] * total : last - epochs[0] * total]

    def token_counts(self, step: int) -> tuple[int, int]:
        """Returns the tokens of a step's batch without and with padding."""
        numbers = self.numbers(step)
        rows = len(self._rows(numbers))
        return int(self._lengths(numbers).sum()) + rows * len(self._prefix), math.prod(self._shape(numbers, rows))

    def __getitem__(self, step: int) -> Batch[np.ndarray]:
        """Returns the batch of a step."""
        numbers = self.numbers(step)
        rows = self._rows(numbers)
        shape = self._shape(numbers, len(rows))
        batch = Batch(*(np.zeros(shape, dtype) for dtype in (np.int32,) * 4 + (np.float32,)))
        weights = self._weights(numbers)
        shared = len(self._prefix)
        for row, members in enumerate(rows):
            batch.tokens[row, :shared] = self._prefix
            batch.segments[row, :shared] = SHARED
            batch.positions[row, :shared] = np.arange(shared)
            start = shared
            for segment, member in enumerate(members, start=1):
                start = self._fill(batch, row, start, segment, numbers[member], weights[member])
        parts = (self.accumulation, shape[0] // self.accumulation, shape[1])
        return Batch(*(getattr(batch, field.name).reshape(parts) for field in dataclasses.fields(batch)))

    def _fill(self, batch: Batch[np.ndarray], row: int, start: int, segment: int, number: int, weight: float) -> int:
        skipped = len(self._prefix)
        tokens = self.examples[number][skipped:]
        stop = start + len(tokens) - 1
        batch.tokens[row, start:stop] = tokens[:-1]
        batch.targets[row, start:stop] = tokens[1:]
        batch.segments[row, start:stop] = segment
        batch.positions[row, start:stop] = np.arange(skipped, skipped + stop - start)
        trained = max(stop - int(self.examples.responses[number]), start)
        batch.weights[row, trained:stop] = weight
        return stop

    def _weights(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the weight of each response token of each example of a step."""
        group_size = len(numbers) if self.normalisation == "token_mean" else self.loss_group
        group = np.arange(len(numbers)) // group_size
        tokens = np.bincount(group, weights=self.examples.responses[numbers])
        groups = max(np.count_nonzero(tokens), 1)  # a group whose responses were all cut away has no mean
        return 1 / (groups * np.maximum(tokens, 1))[group]

    def _rows(self, numbers: np.ndarray) -> list[list[int]]:
        """Returns the examples of each row, as indices into `numbers`."""
        if self.packing == "none":
            return [[index] for index in range(len(numbers))]
        return pack(self._lengths(numbers), self.row_length - len(self._prefix))

    def _shape(self, numbers: np.ndarray, rows: int) -> tuple[int, int]:
        """Returns rows, rounded up so that they divide by the mesh and few programs compile, and their length."""
        if self.packing != "none":
            length, granule = self.row_length, self._row_granule
        else:
            length, granule = _round_up(int(self._lengths(numbers).max()), _UNPACKED_GRANULE), self._quantum
        return _round_up(rows, granule), length

    def _lengths(self, numbers: np.ndarray) -> np.ndarray:
        return self.examples.lengths[numbers] - 1 - len(self._prefix)

    @property
    def _prefix(self) -> np.ndarray:
        return self.examples.prefix if self.packing == "prefix" else np.zeros(0, np.int32)

    @property
    def _quantum(self) -> int:
        return self.data_parallel_size * self.accumulation

    @functools.cached_property
    def _row_granule(self) -> int:
        most = max(len(self._rows(self.numbers(step))) for step in range(min(self.steps, _ROUNDING)))
        return self._quantum * max(1, round(most / _ROUNDING / self._quantum))


def pack(lengths: np.ndarray, row_length: int) -> list[list[int]]:
    """Returns the indices of the examples in each row: first fit, the longest first."""
    rows: list[list[int]] = []
    room = np.zeros(len(lengths), np.int64)
    for index in np.argsort(-lengths, kind="stable").tolist():
        fitting = np.flatnonzero(room[: len(rows)] >= lengths[index])
        if len(fitting):
            row = int(fitting[0])
        else:
            row = len(rows)
            rows.append([])
            room[row] = row_length
        rows[row].append(index)
        room[row] -= lengths[index]
    return rows


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
