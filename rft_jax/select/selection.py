"""Rejection sampling's selection: from sampled paths to a training set, with the funnel beside it.

Two passes, each split over processes: grade the paths and sort them by blocks of problems (`spill`), then choose within
each problem and count (`block`). What comes out depends on the paths, the order of the models and, for the rules
`reference`, the order of the files; not on the number of processes or pieces.
"""

import contextlib
import dataclasses
import glob
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

from tqdm import tqdm

from rft_jax.errors import UserError
from rft_jax.files import PARTIAL, whole_file
from rft_jax.records.lines import LineError, at_line, created, is_compressed, with_infix
from rft_jax.records.problem import Problem, read_problems
from rft_jax.select import statistics
from rft_jax.select.block import BlockResult, BlockTask, select_block
from rft_jax.select.spill import Piece, Segment, Spilled, SpillTask, cut_into_pieces, spill_piece
from rft_jax.select.tally import EVERY_SAMPLE, PAPER_KS, Tally
from rft_jax.select.workers import Map, ordered_map
from rft_jax.task.answer import Answers, answers

# Paths of one block, in bytes of their files: each process holds about three times as much.
_BLOCK_BYTES = 24 << 20
# Below this, starting processes takes longer than the work.
_WORTH_A_PROCESS = 4 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """The path files, in order.

    Attributes:
        files: all of them, each once.
        listed: for each file, the place in the list of globs where it came up first.
        size: bytes, estimated for compressed files.
    """

    files: list[str]
    listed: list[int]
    size: int


def select(
    problems: str,
    globs: Sequence[str],
    output: str,
    *,
    rules: str,
    grader: str,
    ks: Sequence[int],
    workers: int,
    piece_bytes: int | None = None,
) -> dict[str, Any]:
    """Writes the training set to `output`, one more set for each k, and the statistics to `output` + `.stats.json`.

    Args:
        problems: a file or data set, see `read_problems`.
        globs: patterns of path files; the models' order is that of the first pattern in which each occurs, then by
            name.
        output: a JSONL file; the set of the samples below 3 goes to the same name with `.k3` before its suffix.
        rules: one of `block.RULES`.
        grader: one of `answer.GRADERS`.
        ks: the prefixes to write beside the set of all samples.
        workers: processes.
        piece_bytes: how much of a file a process reads at a time.

    Returns:
        The statistics.

    Raises:
        UserError: something in the input is wrong, or the output cannot be written; nothing is written then.
    """
    target = pathlib.Path(output)
    if not target.parent.is_dir():
        raise UserError(f"cannot write {output}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise UserError(f"cannot write {output}: it is a folder")
    inputs = find_inputs(globs)
    prefixes: list[int | None] = [None, *sorted(set(ks))]
    names = [target, *(with_infix(target, f"k{k}") for k in prefixes[1:])]
    written = {os.path.realpath(name): name for name in (*map(str, names), f"{output}.stats.json")}
    for file in (*inputs.files, problems):
        if (name := written.get(os.path.realpath(file))) is not None:
            raise UserError(f"{name} is to be read and written; give --output another name, or --paths fewer files")
    questions = read_problems(problems)
    gold = []
    for number, problem in enumerate(questions, start=1):
        with at_line(problems, number):
            gold.append(_gold_answers(problem))
    workers = max(1, min(workers, inputs.size // _WORTH_A_PROCESS))
    blocks = min(len(questions), max(1, inputs.size // _BLOCK_BYTES, 4 * workers if workers > 1 else 1))
    per_block = -(-len(questions) // blocks)
    counted = sorted({*PAPER_KS, *ks, EVERY_SAMPLE})
    with _scratch(target) as folder, ordered_map(workers) as run:
        pieces = cut_into_pieces(inputs.files, *([] if piece_bytes is None else [piece_bytes]))
        keep_wrong = rules == "none"
        spill_tasks = (SpillTask(piece, gold, grader, keep_wrong, per_block, folder) for piece in pieces)
        spilled, places = _first_pass(run, spill_tasks, pieces)
        models = _models_in_order(inputs, pieces, spilled)
        if not models:
            raise UserError(f"no path in the {len(inputs.files)} files that match {','.join(globs)}")
        block_tasks = (
            BlockTask(
                number=block,
                first=first,
                problems=questions[first : first + per_block],
                segments=_segments_of(block, spilled),
                places=places,
                models=models,
                rules=rules,
                prefixes=prefixes,
                ks=counted,
                folder=folder,
            )
            for block, first in enumerate(range(0, len(questions), per_block))
        )
        with contextlib.ExitStack() as stack:
            # The statistics are entered first, so they take their name last: who sees them sees all the sets.
            statistics_file = stack.enter_context(whole_file(f"{output}.stats.json"))
            streams = [_create(stack, name) for name in names]
            tally = _second_pass(run(select_block, block_tasks), streams, len(questions), per_block)
            result: dict[str, Any] = {"rules": rules, "grader": grader}
            result |= statistics.describe(tally, len(questions), models, counted)
            result["rows"] = {
                name.name: {"gold": len(questions), "selected": tally.rows[prefix]}
                for name, prefix in zip(names, prefixes, strict=True)
            }
            statistics_file.write_text(json.dumps(result, indent=1) + "\n")
    return result


def _gold_answers(problem: Problem) -> Answers:
    gold = answers(problem.response)
    if gold.reference is None:
        raise LineError("the gold answer has no final '#### number'")
    return gold


def find_inputs(globs: Sequence[str]) -> Inputs:
    """Returns the files that the patterns match; those of one pattern in natural order (`2.jsonl` before `10.jsonl`).

    Raises:
        UserError: a pattern matches no file.
    """
    listed: dict[str, int] = {}
    known: set[str] = set()
    for place, pattern in enumerate(globs):
        # A name that exists is taken as it is, even if it has a bracket in it. `**` crosses folders.
        exists = pathlib.Path(pattern).exists()
        matches = [pattern] if exists else glob.glob(pattern, recursive=True)  # noqa: PTH207  # absolute ones, too
        # What a killed writer left behind is not a file of paths.
        files = [match for match in matches if not pathlib.Path(match).is_dir() and not match.endswith(PARTIAL)]
        if not files:
            hint = "; it is a folder, so add /*.jsonl" if exists else ""
            raise UserError(f"no file matches --paths={pattern}{hint}")
        for file in sorted(files, key=_natural):
            if os.path.realpath(file) not in known:  # the same file by another name would be read for nothing
                known.add(os.path.realpath(file))
                listed[file] = place
    try:
        sizes = [pathlib.Path(file).stat().st_size * (5 if is_compressed(file) else 1) for file in listed]
    except OSError as error:  # a link that leads nowhere, for one
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    return Inputs(list(listed), list(listed.values()), sum(sizes))


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


@contextlib.contextmanager
def _scratch(target: pathlib.Path) -> Iterator[pathlib.Path]:
    # Beside the output: there the user expects to need space, and /tmp may live in memory.
    try:
        folder = tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent)
    except OSError as error:
        raise UserError(f"cannot write to {target.parent}: {error.strerror}") from error
    try:
        yield pathlib.Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _models_in_order(inputs: Inputs, pieces: Sequence[Piece], spilled: Sequence[Spilled]) -> list[str]:
    listed = dict(zip(inputs.files, inputs.listed, strict=True))
    first: dict[str, int] = {}
    for piece, result in zip(pieces, spilled, strict=True):
        for model in result.models:
            first[model] = min(first.get(model, listed[piece.file]), listed[piece.file])
    return sorted(first, key=lambda model: (first[model], model))


def _segments_of(block: int, spilled: Sequence[Spilled]) -> list[Segment]:
    return [segment for result in spilled for segment in result.segments.get(block, ())]


def _create(stack: contextlib.ExitStack, name: pathlib.Path) -> IO[bytes]:
    return stack.enter_context(created(stack.enter_context(whole_file(name)), like=name))


def _second_pass(results: Iterator[BlockResult], streams: Sequence[IO[bytes]], problems: int, per_block: int) -> Tally:
    """Puts the rows of the blocks together, in order, and adds up their counts."""
    tally = Tally()
    with tqdm(total=problems, desc="select", unit="problem", disable=None) as bar:
        for result in results:
            for stream, rows in zip(streams, result.rows, strict=True):
                with rows.open("rb") as part:
                    shutil.copyfileobj(part, stream)
                rows.unlink()
            tally.add(result.tally)
            bar.update(min(per_block, problems - bar.n))
    return tally
