"""The two passes over the paths of a part, each split over processes: grade and sort (`spill`), choose and count."""

import dataclasses
import pathlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from tqdm import tqdm

from rft_jax.errors import UserError
from rft_jax.records import checksum
from rft_jax.select.block import BlockResult, BlockTask, select_block
from rft_jax.select.contents import Contents, known_contents
from rft_jax.select.foreign import speak_of_others
from rft_jax.select.job import Job
from rft_jax.select.judge import write_gold
from rft_jax.select.part import Part
from rft_jax.select.spill import PIECE_BYTES, Piece, Spilled, SpillTask, cut_into_pieces, spill_piece
from rft_jax.select.tally import Tally
from rft_jax.select.workers import Map, ordered_map

# Paths of one block, in bytes of their files: each process holds about three times as much.
_BLOCK_BYTES = 24 << 20
# Below this, starting processes takes longer than the work.
_WORTH_A_PROCESS = 4 << 20


@dataclasses.dataclass(slots=True)
class Found:
    """What came out beside the rows.

    Attributes:
        tally: the counts.
        models: in order; also those that only other parts' paths have.
        read: models of the lines that were read -> the place in the list of patterns where each came up first.
        killed: grader's name -> answers that took it too long to read.
        doubtful: whether the files that cannot be checked seem to be of other problems.
    """

    tally: Tally
    models: list[str]
    read: dict[str, int]
    killed: Counter[str]
    doubtful: bool


def in_order(first: Mapping[str, int]) -> list[str]:
    """Returns the models in the order of the patterns in which each came up first, then by name."""
    return sorted(first, key=lambda model: (first[model], model))


def earliest(*firsts: Mapping[str, int]) -> dict[str, int]:
    """Returns for each model the first of its places."""
    first: dict[str, int] = {}
    for places in firsts:
        for model, place in places.items():
            first[model] = min(first.get(model, place), place)
    return first


def run(
    job: Job,
    part: Part,
    streams: Sequence[IO[bytes]],
    folder: pathlib.Path,
    workers: int,
    piece_bytes: int = PIECE_BYTES,
) -> Found:
    """Writes the rows of a part's problems, and returns what else came out.

    Args:
        job: what to select.
        part: which problems.
        streams: where the rows of each prefix go.
        folder: for scratch files.
        workers: processes.
        piece_bytes: how much of a file a process reads at a time.

    Raises:
        UserError: something in the input is wrong, or the disk is full.
    """
    mine = part.problems(len(job.questions))
    files, first = _to_read(job, part)
    job.inputs.fetch(files)
    checksum.check(list(files))
    doubtful = speak_of_others(job.unchecked, job.questions)
    pieces = cut_into_pieces(files, piece_bytes)
    # Of a file that may hold any problem, the others' paths cost next to nothing.
    size = sum(piece.size if piece.holds else piece.size // part.count for piece in pieces)
    workers = max(1, min(workers, sum(piece.size for piece in pieces) // _WORTH_A_PROCESS))
    blocks = min(len(mine), max(1, size // _BLOCK_BYTES, 4 * workers if workers > 1 else 1))
    per_block = -(-len(mine) // blocks) if blocks else 1
    with ordered_map(workers) as run_all:
        write_gold(folder, mine.start, [job.questions[number].response for number in mine])
        spill_tasks = (SpillTask(piece, job.criteria, len(job.questions), per_block, folder) for piece in pieces)
        spilled, places = _first_pass(run_all, spill_tasks, pieces)
        read = _models(job, pieces, spilled)
        models = in_order(earliest(first, read))
        if not models:
            raise UserError(f"no path in the {len(job.inputs.files)} files that match {','.join(job.patterns)}")
        block_tasks = (
            BlockTask(
                number=block,
                first=start,
                problems=job.questions[start : min(start + per_block, mine.stop)],
                segments=[segment for result in spilled for segment in result.segments.get(block, ())],
                places=places,
                models=models,
                criteria=job.criteria,
                prefixes=job.prefixes,
                ks=job.ks,
                cap=job.cap,
                always=job.always,
                folder=folder,
            )
            for block, start in enumerate(range(mine.start, mine.stop, per_block))
        )
        tally = job.no_counts()
        _second_pass(run_all(select_block, block_tasks), streams, tally, len(mine), per_block)
    return Found(tally, models, read, sum((piece.killed for piece in spilled), start=Counter()), doubtful)


def _to_read(job: Job, part: Part) -> tuple[dict[str, range | None], dict[str, int]]:
    """Returns the files that may hold paths of a part, each with the problems that it is said to hold, and the models
    that files are said to hold, each with its first place.
    """
    if part.count == 1:
        return dict.fromkeys(job.inputs.files), {}
    mine = part.problems(len(job.questions))
    contents = known_contents(job.inputs)
    files = {
        file: None if told is None else told.problems
        for file, told in zip(job.inputs.files, contents, strict=True)
        if told is None or not _is_of_another(told, mine, len(job.questions))
    }
    first = earliest(
        *({told.model: listed} for told, listed in zip(contents, job.inputs.listed, strict=True) if told is not None)
    )
    return files, first


def _is_of_another(contents: Contents, mine: range, problems: int) -> bool:
    # Whoever reads it says what is wrong with problems that there are not.
    there = contents.problems
    apart = not mine or there.stop <= mine.start or mine.stop <= there.start
    return apart and there.start < there.stop <= problems


def _first_pass(
    run: Map[SpillTask, Spilled], tasks: Iterator[SpillTask], pieces: Sequence[Piece]
) -> tuple[list[Spilled], dict[int, tuple[str, int]]]:
    """Returns what came of each piece, and for each the file and the number, from 1, of its first line."""
    spilled: list[Spilled] = []
    places: dict[int, tuple[str, int]] = {}
    line = 1
    bar = tqdm(pieces, desc="grade", unit="piece", disable=None)
    for piece, result in zip(bar, run(spill_piece, tasks), strict=True):
        # Results come in order, so the lines before this piece are counted by now.
        line = 1 if piece.start == 0 else line
        places[piece.number] = piece.file, line
        if result.error is not None:
            number, message = result.error
            raise UserError(f"{piece.file}:{line + number}: {message}")
        line += result.lines
        spilled.append(result)
    return spilled, places


def _models(job: Job, pieces: Sequence[Piece], spilled: Sequence[Spilled]) -> dict[str, int]:
    """Returns the models that were read, each with the place in the list of patterns where it came up first."""
    listed = dict(zip(job.inputs.files, job.inputs.listed, strict=True))
    return earliest(
        *(dict.fromkeys(result.models, listed[piece.file]) for piece, result in zip(pieces, spilled, strict=True))
    )


def _second_pass(
    results: Iterator[BlockResult], streams: Sequence[IO[bytes]], tally: Tally, problems: int, per_block: int
) -> None:
    """Puts the rows of the blocks together, in order, and adds up their counts."""
    with tqdm(total=problems, desc="select", unit="problem", disable=None) as bar:
        for result in results:
            for stream, rows in zip(streams, result.rows, strict=True):
                with rows.open("rb") as part:
                    shutil.copyfileobj(part, stream)
                rows.unlink()
            tally.add(result.tally)
            bar.update(min(per_block, problems - bar.n))
