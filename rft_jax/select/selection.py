"""Rejection sampling's selection: from sampled paths to a training set, with the funnel beside it.

Two passes, each split over processes: grade the paths and sort them by blocks of problems (`spill`), then choose within
each problem and count (`block`). What comes out depends on the paths, the order of the models and, for the rules
`reference`, the order of the files; not on the number of processes or pieces.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, Any

from tqdm import tqdm

from rft_jax import provenance
from rft_jax.errors import UserError
from rft_jax.files import whole_file
from rft_jax.one_writer import one_writer
from rft_jax.records import checksum, manifest
from rft_jax.records.lines import created, with_infix
from rft_jax.records.problem import read_problems
from rft_jax.select import statistics
from rft_jax.select.block import BlockResult, BlockTask, select_block
from rft_jax.select.criteria import criteria
from rft_jax.select.foreign import speak_of_others
from rft_jax.select.inputs import Inputs, find_inputs
from rft_jax.select.judge import write_gold
from rft_jax.select.scratch import scratch
from rft_jax.select.spill import Piece, Segment, Spilled, SpillTask, cut_into_pieces, spill_piece
from rft_jax.select.tally import EVERY_SAMPLE, PAPER_KS, Tally
from rft_jax.select.workers import Map, ordered_map
from rft_jax.task.gold import gold_answers
from rft_jax.task.task import DEFAULT

# Paths of one block, in bytes of their files: each process holds about three times as much.
_BLOCK_BYTES = 24 << 20
# Below this, starting processes takes longer than the work.
_WORTH_A_PROCESS = 4 << 20


def select(
    problems: str,
    patterns: Sequence[str],
    output: str,
    *,
    rules: str,
    ks: Sequence[int],
    workers: int,
    task: str = DEFAULT,
    grader: str | None = None,
    audits: Sequence[str] | None = None,
    piece_bytes: int | None = None,
) -> dict[str, Any]:
    """Writes the training set to `output`, one more set for each k, and the statistics to `output` + `.stats.json`.

    Args:
        problems: a file or data set, see `read_problems`.
        patterns: of path files; the models' order is that of the first pattern in which each occurs, then by name.
        output: a JSONL file; the set of the samples below 3 goes to the same name with `.k3` before its suffix.
        rules, task, grader, audits: what decides, see `criteria`.
        ks: the prefixes to write beside the set of all samples.
        workers: processes.
        piece_bytes: how much of a file a process reads at a time.

    Returns:
        The statistics, and "unchecked_files": how many path files have no manifest that names their problems, and
        "doubtful": whether these seem to be of other problems.

    Raises:
        UserError: something in the input is wrong, or the output cannot be written; nothing is written then.
    """
    target = pathlib.Path(output)
    if not target.parent.is_dir():
        raise UserError(f"cannot write {output}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise UserError(f"cannot write {output}: it is a folder")
    decide = criteria(task, grader=grader, audits=audits, rules=rules)
    inputs = find_inputs(patterns)
    prefixes: list[int | None] = [None, *sorted(set(ks))]
    names = [target, *(with_infix(target, f"k{k}") for k in prefixes[1:])]
    written = {os.path.realpath(name): name for name in (*map(str, names), f"{output}.stats.json")}
    for file in (*inputs.files, problems):
        if (name := written.get(os.path.realpath(file))) is not None:
            raise UserError(f"{name} is to be read and written; give --output another name, or --paths fewer files")
    questions = read_problems(problems, decide.load_task().reader)
    in_use, *auditors = decide.load_graders()
    gold_answers(questions, in_use, problems)
    unread = {
        auditor.name: sum(auditor.parse(problem.response) is None for problem in questions) for auditor in auditors
    }
    unchecked = manifest.check(inputs.files, questions, problems)
    checksum.check(inputs.files)
    doubtful = speak_of_others(unchecked, questions)
    workers = max(1, min(workers, inputs.size // _WORTH_A_PROCESS))
    blocks = min(len(questions), max(1, inputs.size // _BLOCK_BYTES, 4 * workers if workers > 1 else 1))
    per_block = -(-len(questions) // blocks)
    counted = sorted({*PAPER_KS, *ks, EVERY_SAMPLE})
    alone = one_writer(target, target.with_name(f".{target.name}.writer"))
    with alone, scratch(target) as folder, ordered_map(workers) as run:
        write_gold(folder, [problem.response for problem in questions])
        pieces = cut_into_pieces(inputs.files, *([] if piece_bytes is None else [piece_bytes]))
        spill_tasks = (SpillTask(piece, decide, per_block, folder) for piece in pieces)
        spilled, places = _first_pass(run, spill_tasks, pieces)
        models = _models_in_order(inputs, pieces, spilled)
        if not models:
            raise UserError(f"no path in the {len(inputs.files)} files that match {','.join(patterns)}")
        block_tasks = (
            BlockTask(
                number=block,
                first=first,
                problems=questions[first : first + per_block],
                segments=_segments_of(block, spilled),
                places=places,
                models=models,
                criteria=decide,
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
            tally = Tally.of_graders([in_use.name, *unread])
            _second_pass(run(select_block, block_tasks), streams, tally, len(questions), per_block)
            result: dict[str, Any] = {"rules": decide.load_rule().name, "grader": in_use.name}
            result |= {"task": decide.load_task().name, "criteria": dataclasses.asdict(decide)}
            result |= statistics.describe(tally, len(questions), models, counted, unread)
            if killed := sum((piece.killed for piece in spilled), start=Counter()):
                result["answers_given_up"] = dict(killed)
            result["rows"] = {
                name.name: {"gold": len(questions), "selected": tally.rows[prefix]}
                for name, prefix in zip(names, prefixes, strict=True)
            }
            result[provenance.FIELD] = provenance.software()
            statistics_file.write_text(json.dumps(result, indent=1) + "\n")
    return result | {"unchecked_files": len(unchecked), "doubtful": doubtful}


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
