"""The first pass over the paths: grade each one, and sort it into a file by the block of problems it belongs to.

Path files may hold the problems in any order, and together they may be larger than memory. So each piece of a file
(some megabytes, cut at a line end; a compressed file is one piece) is read once, in any process, and what the second
pass needs of its paths goes to spill files where the paths of a block stand together. A wrong path leaves its grades,
but not its text. Order is kept as (piece, line), so that nothing depends on which process read what.
"""

import dataclasses
import functools
import marshal
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rft_jax.errors import UserError
from rft_jax.records.lines import LineError, is_compressed, opened
from rft_jax.records.path import glimpse_path, parse_path
from rft_jax.select.criteria import Criteria
from rft_jax.select.graded import Fields, Graded
from rft_jax.select.judge import Judge, read_gold

PIECE_BYTES = 8 << 20
_EXPANSION = 5  # of a compressed file, roughly
_BUFFER_BYTES = 16 << 20  # lines whose graded paths one process holds back


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A part of a path file.

    Attributes:
        number: of the piece, in the order of files.
        file: its name.
        start, end: the lines that begin in [start, end) belong to it; end None is the whole file.
        size: about how many bytes it has, decompressed.
        holds: the file's problems are said to be among these; None: nothing is said.
    """

    number: int
    file: str
    start: int
    end: int | None
    size: int
    holds: range | None = None


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
        models: the models seen, those of other parts' paths included.
        segments: for each block, where its paths went.
        killed: grader's name -> answers that took it too long to read.
        error: the line, from 0, and what is wrong with it; reading stopped there.
    """

    lines: int = 0
    models: set[str] = dataclasses.field(default_factory=set)
    segments: dict[int, list[Segment]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    killed: Counter[str] = dataclasses.field(default_factory=Counter)
    error: tuple[int, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SpillTask:
    """A piece with all that `spill_piece` needs to work on it in another process.

    Attributes:
        piece: to read.
        criteria: that decide on its paths.
        problems: how many there are, in all parts.
        problems_per_block: how many problems a block has.
        folder: where the spill files go, and the gold responses are.
    """

    piece: Piece
    criteria: Criteria
    problems: int
    problems_per_block: int
    folder: pathlib.Path


def cut_into_pieces(files: Mapping[str, range | None], piece_bytes: int = PIECE_BYTES) -> list[Piece]:
    """Returns the pieces of the files in order.

    Args:
        files: name -> the problems that it is said to hold.
        piece_bytes: how much of a file is a piece.

    Raises:
        UserError: a file is missing.
    """
    pieces: list[Piece] = []
    for file, holds in files.items():
        with opened(file):
            size = pathlib.Path(file).stat().st_size
        if is_compressed(file):
            pieces.append(Piece(len(pieces), file, 0, None, _EXPANSION * size, holds))
        else:
            for start in range(0, max(size, 1), piece_bytes):
                end = start + piece_bytes
                pieces.append(Piece(len(pieces), file, start, end, min(end, size) - start, holds))
    return pieces


def spill_piece(task: SpillTask) -> Spilled:
    """Grades the paths of a piece and writes them to spill files; see `Spilled`.

    Raises:
        UserError: the file cannot be read, or the disk is full.
    """
    judge = _judge(task.criteria, task.folder)
    mine, all_problems = judge.problems, range(task.problems)
    is_part = mine != all_problems
    holds = task.piece.holds or all_problems
    spilled = Spilled()
    blocks: dict[int, list[Fields]] = defaultdict(list)
    buffered = 0
    for line in _lines_of(task.piece):
        number = spilled.lines
        spilled.lines += 1
        if line.isspace():
            continue
        if is_part and (glimpse := glimpse_path(line)) and glimpse.problem in holds and glimpse.problem not in mine:
            spilled.models.add(glimpse.model)  # its part tells what is wrong with the rest
            continue
        try:
            path = parse_path(line, task.problems)
            if path.problem not in holds:
                raise LineError(
                    f"problem {path.problem} in a file whose name says {holds.start} to {holds.stop - 1}: rename it, "
                    "or select without --part"
                )
        except LineError as error:
            spilled.error = (number, str(error))
            return spilled
        spilled.models.add(path.model)
        if path.problem not in mine:
            continue
        block = (path.problem - mine.start) // task.problems_per_block
        blocks[block].append(judge.grade(path, task.piece.number, number))
        buffered += len(line)
        if buffered > _BUFFER_BYTES:
            _flush(blocks, task, spilled)
            buffered = 0
    _flush(blocks, task, spilled)
    spilled.killed = judge.killed()
    return spilled


@functools.lru_cache(maxsize=1)
def _judge(criteria: Criteria, folder: pathlib.Path) -> Judge:
    return Judge(criteria, *read_gold(folder))


def read_segments(segments: Sequence[Segment]) -> Iterator[Graded]:
    """Yields the paths of a block in the order of the segments, which is that of reading."""
    for file, start, length in segments:
        with file.open("rb") as stream:
            stream.seek(start)
            yield from map(Graded._make, marshal.loads(stream.read(length)))


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
        for line in stream:
            if position >= piece.end:
                return
            position += len(line)
            yield line


def _flush(blocks: dict[int, list[Fields]], task: SpillTask, spilled: Spilled) -> None:
    if not blocks:
        return
    # The first and the n-th flush of a piece go to different files, so that a segment is one stretch of bytes.
    flush = sum(len(segments) for segments in spilled.segments.values())
    file = task.folder / f"paths-{task.piece.number}-{flush}"
    try:
        with file.open("wb") as stream:
            for block, paths in sorted(blocks.items()):
                data = marshal.dumps(paths)  # read back by this run, so by the same Python
                spilled.segments[block].append(Segment(file, stream.tell(), len(data)))
                stream.write(data)
    except OSError as error:
        raise UserError(f"cannot write to {task.folder}: {error.strerror}") from error
    blocks.clear()
