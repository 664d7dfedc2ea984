"""Rejection sampling's selection: from sampled paths to a training set, with the funnel beside it.

Two passes (`passes`), by one process, by several, or in parts on several machines (`parts`). What comes out depends on
the paths, the order of the models and, for the rules `reference`, the order of the files; not on the number of
processes, pieces or parts.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import IO, Any

from rft_jax import provenance
from rft_jax.errors import UserError
from rft_jax.files import whole_file
from rft_jax.one_writer import one_writer
from rft_jax.records.lines import created
from rft_jax.select import passes, statistics
from rft_jax.select.job import Job, prepare
from rft_jax.select.part import Part
from rft_jax.select.passes import Found
from rft_jax.select.scratch import scratch
from rft_jax.select.spill import PIECE_BYTES
from rft_jax.task.task import DEFAULT


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
    cap: int | None = None,
    piece_bytes: int = PIECE_BYTES,
) -> dict[str, Any]:
    """Prepares and does a selection; see `prepare` and `do`."""
    job = prepare(problems, patterns, output, rules=rules, ks=ks, task=task, grader=grader, audits=audits, cap=cap)
    return do(job, workers, piece_bytes)


def do(job: Job, workers: int, piece_bytes: int = PIECE_BYTES) -> dict[str, Any]:
    """Writes the training set, one more set for each k, and the statistics.

    Args:
        job: what to select.
        workers: processes.
        piece_bytes: how much of a file a process reads at a time.

    Returns:
        See `write`.

    Raises:
        UserError: something in the input is wrong, or the output cannot be written; nothing is written then.
    """
    return write(job, lambda streams, folder: passes.run(job, Part(), streams, folder, workers, piece_bytes))


def write(job: Job, fill: Callable[[Sequence[IO[bytes]], pathlib.Path], Found]) -> dict[str, Any]:
    """Writes the sets and the statistics, all or none.

    Args:
        job: what is selected.
        fill: writes the rows of each prefix, given a folder for scratch files, and returns what else came out.

    Returns:
        The statistics, and "unchecked_files": how many path files have no manifest that names their problems, and
        "doubtful": whether these seem to be of other problems.

    Raises:
        UserError: an output cannot be written, or from `fill`; nothing is written then.
    """
    with (
        one_writer(job.target, job.target.with_name(f".{job.target.name}.writer")),
        scratch(job.target) as folder,
        contextlib.ExitStack() as stack,
    ):
        # The statistics are entered first, so they take their name last: who sees them sees all the sets.
        statistics_file = stack.enter_context(whole_file(job.statistics))
        streams = [_create(stack, name) for name in job.names]
        found = fill(streams, folder)
        _refuse_whole_sets(job, found)
        result = _result(job, found)
        statistics_file.write_text(json.dumps(result, indent=1) + "\n")
    return result | {"unchecked_files": len(job.unchecked), "doubtful": found.doubtful}


def _refuse_whole_sets(job: Job, found: Found) -> None:
    """Raises UserError if the set of a prefix is that of all samples: what is trained on it would bear a wrong k."""
    there = found.tally.united.most_samples
    if too_many := [k for k in job.prefixes if k is not None and k > there]:
        raise UserError(f"--k={too_many[0]}: the samples are numbered below {there}, so give at most {there}")


def _create(stack: contextlib.ExitStack, name: pathlib.Path) -> IO[bytes]:
    return stack.enter_context(created(stack.enter_context(whole_file(name)), like=name))


def _result(job: Job, found: Found) -> dict[str, Any]:
    task, rule = job.criteria.load_task(), job.criteria.load_rule()
    result: dict[str, Any] = {"rules": rule.name, "cap": job.cap, "grader": job.grader, "task": task.name}
    result["criteria"] = dataclasses.asdict(job.criteria)
    result |= statistics.describe(
        found.tally,
        len(job.questions),
        found.models,
        job.ks,
        job.unread,
        always=job.always,
        told=not job.unchecked,
    )
    if found.killed:  # told in the graders' order, whichever piece came first
        names = (job.grader, *job.unread)
        result["answers_given_up"] = {name: found.killed[name] for name in names if found.killed[name]}
    result["rows"] = {
        name.name: {"gold": len(job.questions), "selected": found.tally.rows[prefix]}
        for name, prefix in zip(job.names, job.prefixes, strict=True)
    }
    result[provenance.FIELD] = provenance.software()
    return result
