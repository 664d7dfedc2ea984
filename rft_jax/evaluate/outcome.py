"""What an evaluation leaves, metrics.json and results.jsonl: written by one worker at a time, and read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.files import whole_file
from rft_jax.one_writer import one_writer
from rft_jax.provenance import FIELD
from rft_jax.records.lines import read_objects, write_lines

METRICS, RESULTS = "metrics.json", "results.jsonl"
_WAIT_S = 60.0  # for another worker, which needs far less


def write(workdir: Path, metrics: dict[str, Any], lines: Sequence[bytes]) -> None:
    """Writes both files, unless they are there already.

    The workers of an evaluation share the samples; then each grades all of them and comes here. The first one writes,
    the others find the same and leave it as it is, as the next stage may be reading it.

    Args:
        workdir: of the evaluation.
        metrics: for metrics.json.
        lines: of results.jsonl.

    Raises:
        UserError: another process goes on writing for a minute, or the disk is full.
    """
    with one_writer(workdir, workdir / f".{METRICS}.writer", wait_s=_WAIT_S):
        if _there(workdir) == (_compared(metrics), b"".join(lines)):
            return
        (workdir / METRICS).unlink(missing_ok=True)  # a kill must not leave the metrics of other results
        write_lines(workdir / RESULTS, lines)
        with whole_file(workdir / METRICS) as file:
            file.write_text(json.dumps(metrics, indent=1) + "\n")


def _there(workdir: Path) -> tuple[dict[str, Any], bytes] | None:
    try:
        metrics = json.loads((workdir / METRICS).read_text())
        return _compared(metrics), (workdir / RESULTS).read_bytes()
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _compared(metrics: dict[str, Any]) -> dict[str, Any]:
    """Returns what is the same for all workers, whatever devices they have, as it is read from a file."""
    fields: dict[str, Any] = json.loads(json.dumps(metrics))
    fields.pop(FIELD, None)
    return fields


def read_evaluation(workdir: Path, grader: str) -> tuple[dict[str, Any], list[bool]]:
    """Returns the metrics of an evaluation, and for each problem whether a grader finds the greedy path right.

    Raises:
        UserError: the folder holds no finished evaluation, or none by this grader.
    """
    if not (workdir / METRICS).is_file() or not (workdir / RESULTS).is_file():
        raise UserError(f"{workdir} holds no finished evaluation: {METRICS} or {RESULTS} is missing")
    try:
        metrics = json.loads((workdir / METRICS).read_text())
        if missing := {"name", "problems", "fingerprint", "graders"} - metrics.keys():
            raise KeyError(*sorted(missing))
        if grader not in metrics["graders"]:
            raise UserError(
                f"{workdir} was graded by {', '.join(metrics['graders'])}, not by '{grader}' like this evaluation: "
                "evaluate that model again with the same task"
            )
        right = [bool(line[grader]["greedy"]) for _, line in read_objects(workdir / RESULTS)]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{workdir} holds no evaluation that this version can read: {type(error).__name__} {error}"
        ) from None
    return metrics, right


def read_results(workdir: Path, count: int, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the lines of an evaluation's results.jsonl.

    Raises:
        UserError: the file is missing, has not `count` lines in order, or one of them lacks a field.
    """
    found = [line for _, line in read_objects(workdir / RESULTS)]
    whole = [line.get("problem") for line in found] == list(range(count))
    if not whole or any(not line.keys() >= set(fields) for line in found):
        raise UserError(
            f"{workdir / RESULTS} is not what {METRICS} beside it tells of, {count} problems with {', '.join(fields)}: "
            "evaluate again"
        )
    return found
