"""The first pass over the paths: grade each one, and sort it into a file by the block of problems it belongs to.

Path files may hold the problems in any order, and together they may be larger than memory. So each piece of a file
(some megabytes, cut at a line end; a compressed file is one piece) is read once, in any process, and what the second
pass needs of its paths goes to spill files where the paths of a block stand together. A wrong path leaves its grades,
but not its text. Order is kept as (piece, line), so that nothing depends on which process read what.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from rft_jax.errors import UserError
from rft_jax.reasoning import equations, farthest
from rft_jax.reasoning.answer import reference_answer, reference_equal, robust_answer
from rft_jax.reasoning.lines import LineError, is_compressed, opened, parse_object
from rft_jax.reasoning.problem import Path, Problem

PIECE_BYTES = 8 << 20
_BUFFER_BYTES = 16 << 20  # graded paths held back by one process


@dataclasses.dataclass(frozen=True, slots=True)
class Gold:
    """The gold answer of a problem, as each grader reads it."""

    reference: str
    robust: Fraction | None

    @classmethod
    def of(cls, problem: Problem) -> "Gold":
        """Raises LineError when the gold path ends in no `#### number`."""
        answer = reference_answer(problem.response)
        if answer is None:
            raise LineError("the gold answer has no final '#### number'")
        return cls(answer, robust_answer(problem.response))


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A part of a path file: the lines that begin in [start, end); end None is the whole file."""

    number: int
    file: str
    start: int = 0
    end: int | None = None


class Graded(NamedTuple):
    """A path as the second pass needs it.

    Attributes:
        line: its line in the piece, from 0; with `piece` the order of reading.
        digest: tells texts apart, also where `response` is None.
        parsed, correct: by the grader in use.
        reference, robust: correct by each grader.
        vote: the robust answer as text, or None.
        equations: the name of the equation list, or None when an equation is wrong or the text is too long.
        response: the text where it may be selected, else None.
    """

    problem: int
    piece: int
    line: int
    model: str
    sample: int
    digest: str
    parsed: bool
    correct: bool
    reference: bool
    robust: bool
    vote: str | None
    equations: str | None
    response: str | None


class Segment(NamedTuple):
    """Where the paths of a block stand in a spill file, in bytes."""

    file: pathlib.Path
    start: int
    length: int


@dataclasses.dataclass(slots=True)
class Spilled:
    """What came out of a piece.

    Attributes:
        lines: how many lines it has.
        models: the models seen.
        segments: for each block, where its paths went.
        error: the line, from 0, and what is wrong with it; reading stopped there.
    """

    lines: int = 0
    models: set[str] = dataclasses.field(default_factory=set)
    segments: dict[int, list[Segment]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    error: tuple[int, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SpillTask:
    """A piece with all that `spill_piece` needs to work on it in another process.

    Attributes:
        gold: the gold answers of all problems.
        grader: which grader decides what is correct, `reference` or `robust`.
        keep_wrong_equations: keep the text of correct paths whose equations fail.
        problems_per_block: how many problems a block has.
        folder: where the spill files go.
    """

    piece: Piece
    gold: Sequence[Gold]
    grader: str
    keep_wrong_equations: bool
    problems_per_block: int
    folder: pathlib.Path


def cut_into_pieces(files: Sequence[str], piece_bytes: int = PIECE_BYTES) -> list[Piece]:
    """Returns the pieces of the files in order.

    Raises:
        UserError: a file is missing.
    """
    pieces: list[Piece] = []
    for file in files:
        with opened(file):
            size = pathlib.Path(file).stat().st_size
        if is_compressed(file):
            pieces.append(Piece(len(pieces), file))
        else:
            for start in range(0, max(size, 1), piece_bytes):
                pieces.append(Piece(len(pieces), file, start, start + piece_bytes))
    return pieces


def spill_piece(task: SpillTask) -> Spilled:
    """Grades the paths of a piece and writes them to spill files; see `Spilled`.

    Raises:
        UserError: the file cannot be read, or the disk is full.
    """
    spilled = Spilled()
    buffers: dict[int, bytearray] = defaultdict(bytearray)
    buffered = 0
    for line in _lines_of(task.piece):
        number = spilled.lines
        spilled.lines += 1
        if line.isspace():
            continue
        try:
            path = Path.from_fields(parse_object(line), len(task.gold))
        except LineError as error:
            spilled.error = (number, str(error))
            return spilled
        record = _encode(_grade(path, number, task))
        spilled.models.add(path.model)
        buffers[path.problem // task.problems_per_block] += record
        buffered += len(record)
        if buffered > _BUFFER_BYTES:
            _flush(buffers, task, spilled)
            buffered = 0
    _flush(buffers, task, spilled)
    return spilled


def read_segments(segments: Sequence[Segment]) -> Iterator[Graded]:
    """Yields the paths of a block."""
    for file, start, length in segments:
        with file.open("rb") as stream:
            stream.seek(start)
            for line in stream.read(length).splitlines():
                yield Graded(*json.loads(line))


def _lines_of(piece: Piece) -> Iterator[bytes]:
    with opened(piece.file) as stream:
        if piece.end is None:
            yield from stream
            return
        if piece.start:
            # The line that runs into this piece belongs to the one before; it may end exactly at the border.
            stream.seek(piece.start - 1)
            stream.readline()
        position = stream.tell()
        while position < piece.end and (line := stream.readline()):
            position += len(line)
            yield line


def _grade(path: Path, line: int, task: SpillTask) -> Graded:
    gold = task.gold[path.problem]
    answer, value = reference_answer(path.response), robust_answer(path.response)
    reference = reference_equal(answer, gold.reference, tolerance=0.0)
    robust = value is not None and value == gold.robust
    by_reference = task.grader == "reference"
    correct = reference if by_reference else robust
    found = equations.find_equations(path.response)
    name = None
    if len(path.response) <= farthest.MAX_CHARACTERS and equations.all_hold(found):
        name = equations.equation_list(found)
    selectable = correct and (name is not None or task.keep_wrong_equations)
    return Graded(
        problem=path.problem,
        piece=task.piece.number,
        line=line,
        model=path.model,
        sample=path.sample,
        digest=hashlib.blake2b(path.response.encode(errors="surrogatepass"), digest_size=8).hexdigest(),
        parsed=(answer if by_reference else value) is not None,
        correct=correct,
        reference=reference,
        robust=robust,
        vote=None if value is None else str(value),
        equations=name,
        response=path.response if selectable else None,
    )


def _encode(graded: Graded) -> bytes:
    fields: Sequence[Any] = graded
    return json.dumps(fields).encode() + b"\n"


def _flush(buffers: dict[int, bytearray], task: SpillTask, spilled: Spilled) -> None:
    if not buffers:
        return
    # The first and the n-th flush of a piece go to different files, so that a segment is one stretch of bytes.
    flush = sum(len(segments) for segments in spilled.segments.values())
    file = task.folder / f"paths-{task.piece.number}-{flush}"
    try:
        with file.open("wb") as stream:
            for block, buffer in sorted(buffers.items()):
                spilled.segments[block].append(Segment(file, stream.tell(), len(buffer)))
                stream.write(buffer)
    except OSError as error:
        raise UserError(f"cannot write to {task.folder}: {error.strerror}") from error
    buffers.clear()
