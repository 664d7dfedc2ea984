"""The second pass over the paths: choose the paths of a block of problems, and count."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from rft_jax.errors import UserError
from rft_jax.records.lines import dump
from rft_jax.records.problem import Problem
from rft_jax.select.criteria import Criteria
from rft_jax.select.farthest import Farthest
from rft_jax.select.graded import Graded
from rft_jax.select.spill import Segment, read_segments
from rft_jax.select.tally import Tally


@dataclasses.dataclass(frozen=True, slots=True)
class BlockTask:
    """A block of problems with all that `select_block` needs to work on it in another process.

    Attributes:
        number: the number of the block.
        first: the number of its first problem.
        problems: its problems.
        segments: where its paths are.
        places: for each piece, its file and the number of its first line, from 1.
        models: the models in the order listed.
        criteria: that decide.
        prefixes: the sets to write: k for the samples numbered below k, None for all.
        ks: the prefixes to count.
        cap: the most paths of a problem in a set, None for all that the rule chooses.
        always: see `Job`.
        folder: where the rows go, one file for each prefix.
    """

    number: int
    first: int
    problems: Sequence[Problem]
    segments: Sequence[Segment]
    places: Mapping[int, tuple[str, int]]
    models: Sequence[str]
    criteria: Criteria
    prefixes: Sequence[int | None]
    ks: Sequence[int]
    cap: int | None
    always: Mapping[str, int]
    folder: pathlib.Path


@dataclasses.dataclass(slots=True)
class BlockResult:
    """The counts of a block, and the file of rows for each prefix."""

    tally: Tally
    rows: list[pathlib.Path]


def select_block(task: BlockTask) -> BlockResult:
    """Writes the gold row of each problem and the rows selected for it, for every prefix.

    Raises:
        UserError: one sample has two texts, or the disk is full.
    """
    rule, equations = task.criteria.load_rule(), task.criteria.load_equations()
    tally = Tally.of_graders([grader.name for grader in task.criteria.load_graders()])
    of_problem: list[list[Graded]] = [[] for _ in task.problems]
    for path in read_segments(task.segments):
        of_problem[path.problem - task.first].append(path)
    chunks: list[list[bytes]] = [[] for _ in task.prefixes]
    for offset, (problem, paths) in enumerate(zip(task.problems, of_problem, strict=True)):
        known = _without_repeats(paths, task, tally)
        by_sample = [known[key] for key in sorted(known)]
        gold_equations = equations.name(problem.response)
        tally.count(task.first + offset, by_sample, task.models, gold_equations, task.ks, task.always)
        gold = dump(problem.training_row(problem.response))
        candidates = [path for path in (known.values() if rule.bare else by_sample) if path.response is not None]
        farthest = Farthest()
        for chunk, prefix in zip(chunks, task.prefixes, strict=True):
            of_prefix = [path for path in candidates if prefix is None or path.sample < prefix]
            chosen = rule.choose_at_most(task.cap, of_prefix, farthest)
            tally.rows[prefix] += len(chosen)
            chunk.append(gold)
            chunk += [_row(problem, path, bare=rule.bare) for path in chosen]
    return BlockResult(tally, [_write(task, index, chunk) for index, chunk in enumerate(chunks)])


def _without_repeats(paths: list[Graded], task: BlockTask, tally: Tally) -> dict[tuple[int, int], Graded]:
    """Returns the paths in the order of reading, by place of the model and sample, without what was read twice."""
    rank = {model: index for index, model in enumerate(task.models)}
    known: dict[tuple[int, int], Graded] = {}
    for path in paths:
        first = known.setdefault((rank[path.model], path.sample), path)
        if first is path:
            continue
        # Equal texts have equal grades, so both have their text or both have its digest.
        if (first.response, first.digest) != (path.response, path.digest):
            raise UserError(
                f"{_place(path, task)}: sample {path.sample} of problem {path.problem} by model {path.model!r} has "
                f"another text than at {_place(first, task)}; if these are two models, give each a name of its own: "
                'sample with --config.name=NAME, or change "model" in the lines of one'
            )
        tally.repeated += 1
    return known


def _place(path: Graded, task: BlockTask) -> str:
    file, first_line = task.places[path.piece]
    return f"{file}:{first_line + path.line}"


def _row(problem: Problem, path: Graded, *, bare: bool) -> bytes:
    row = problem.training_row(path.response or "")
    if not bare:
        row |= {"problem": path.problem, "model": path.model, "sample": path.sample}
    return dump(row)


def _write(task: BlockTask, index: int, rows: list[bytes]) -> pathlib.Path:
    file = task.folder / f"rows-{task.number}-{index}"
    try:
        with file.open("wb") as stream:
            stream.writelines(rows)
    except OSError as error:
        raise UserError(f"cannot write to {task.folder}: {error.strerror}") from error
    return file
