"""A finished run of k samples of each problem, as outcomes: what policies are replayed on."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from rft_jax.budget.outcome import Grading, Outcome
from rft_jax.errors import UserError
from rft_jax.records import checksum, manifest
from rft_jax.records.lines import at_line, opened
from rft_jax.records.path import Path, parse_path
from rft_jax.records.problem import Problem, read_problems
from rft_jax.select.foreign import speak_of_others
from rft_jax.select.inputs import find_inputs
from rft_jax.task import task as tasks

_NO_KEY = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """The outcomes of samples 0 to k - 1 of each problem.

    Attributes:
        right: bool [problems, samples].
        keys: int32 [problems, samples]: the number of the key among its problem's, -1 where there is none.
        tokens: int64 [problems, samples].
        model: whose paths they are.
        grader: that decided.
        unchecked: path files that have no manifest that names their problems.
        doubtful: whether these seem to be of other problems.
    """

    right: np.ndarray
    keys: np.ndarray
    tokens: np.ndarray
    model: str
    grader: str
    unchecked: int = 0
    doubtful: bool = False

    @property
    def problems(self) -> int:
        """How many problems there are."""
        return int(self.right.shape[0])

    @property
    def k(self) -> int:
        """How many samples of each there are."""
        return int(self.right.shape[1])

    def outcomes(self, problem: int) -> list[Outcome]:
        """Returns the outcomes of a problem's samples, in their order."""
        rows = (array[problem].tolist() for array in (self.right, self.keys, self.tokens))
        return [
            Outcome(right, None if key == _NO_KEY else key, tokens) for right, key, tokens in zip(*rows, strict=True)
        ]


def read(problems: str, patterns: Sequence[str], *, task: str, grader: str | None = None) -> Ledger:
    """Reads a ledger; of each path only its outcome stays in memory.

    Args:
        problems: a file or data set, see `read_problems`.
        patterns: of path files, of one model.
        task: what was asked.
        grader: decides what is right; None: the task's.

    Raises:
        UserError: a path or file is wrong or of other problems, the paths are of several models, or a problem lacks a
            sample that others have.
    """
    inputs = find_inputs(patterns)
    questions = read_problems(problems, tasks.load(task).reader)
    grading = Grading(questions, problems, task, grader)
    unchecked = manifest.check(inputs.files, questions, problems)
    inputs.fetch(inputs.files)
    checksum.check(inputs.files)
    doubtful = speak_of_others(unchecked, questions)
    found: list[dict[int, tuple[bool, int, int]]] = [{} for _ in questions]
    numbers: list[dict[object, int]] = [{} for _ in questions]
    models: dict[str, str] = {}
    for path, place in _paths(inputs.files, questions):
        models.setdefault(path.model, place)
        if len(models) > 1:
            (one, _), (other, there) = models.items()
            raise UserError(f"{there}: a path of {other!r} after those of {one!r}: name the paths of one model")
        if path.sample in found[path.problem]:
            raise UserError(
                f"{place}: sample {path.sample} of problem {path.problem} was there before: name each file once"
            )
        try:
            right, key, tokens = grading.outcome(path)
        except ValueError as error:
            raise UserError(f"{place}: {error}: what it took cannot be told") from None
        number = _NO_KEY
        if key is not None:
            known = numbers[path.problem]
            number = known.setdefault(key, len(known))
        found[path.problem][path.sample] = (right, number, tokens)
    if not models:
        raise UserError(f"no path in the {len(inputs.files)} files that match {','.join(patterns)}")
    k = 1 + max(max(samples, default=-1) for samples in found)
    _refuse_holes(found, k)
    table = np.array([[samples[number] for number in range(k)] for samples in found], np.int64)
    return Ledger(
        right=table[:, :, 0].astype(bool),
        keys=table[:, :, 1].astype(np.int32),
        tokens=table[:, :, 2],
        model=next(iter(models)),
        grader=grading.grader,
        unchecked=len(unchecked),
        doubtful=doubtful,
    )


def _paths(files: Sequence[str], problems: Sequence[Problem]) -> Iterator[tuple[Path, str]]:
    """Yields the paths, each with its file and line."""
    for file in tqdm(files, desc="read", unit="file", disable=None):
        with opened(file) as stream:
            for number, line in enumerate(stream, start=1):
                if line.isspace():
                    continue
                with at_line(file, number):
                    path = parse_path(line, len(problems))
                yield path, f"{file}:{number}"


def _refuse_holes(found: Sequence[dict[int, tuple[bool, int, int]]], k: int) -> None:
    """Raises UserError if not each problem has samples 0 to k - 1."""
    short = [problem for problem, samples in enumerate(found) if len(samples) < k]
    if short:
        missing = next(sample for sample in range(k) if sample not in found[short[0]])
        others = f", and {len(short) - 1:,} more problems lack some" if len(short) > 1 else ""
        raise UserError(
            f"sample {missing} of problem {short[0]} is missing{others}: samples 0 to {k - 1} of every problem are "
            "needed; let the command that samples finish, or name all of its files"
        )
