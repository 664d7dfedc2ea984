"""Accuracy by a field of the problems: levels and subjects of MATH, perturbations of GSM-Plus, templates and so on."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rft_jax.errors import UserError
from rft_jax.evaluate.grade import Result, shares
from rft_jax.evidence.intervals import percent
from rft_jax.records.lines import names_of, shown
from rft_jax.records.rows import read_rows

FEW = 30  # with fewer problems an interval is so wide that it says little
MOST_SHOWN = 150  # values of a field in a table; a question or an id of its own is no group


def read(source: str, wanted: Sequence[str] | None, usual: Sequence[str]) -> dict[str, list[str]]:
    """Returns the value of each problem in each field that divides the problems into groups.

    Args:
        source: of the problems, as for `read_problems`.
        wanted: the fields, each of which every row must have; None: the usual ones, as far as every row has them.
        usual: fields of the task.

    Raises:
        UserError: a row lacks a wanted field, or its value is no text, number, truth value or null.
    """
    if not (wanted or (wanted is None and usual)):
        return {}
    rows = list(read_rows(source))
    fields = wanted if wanted is not None else [name for name in usual if all(name in row for _, row in rows)]
    return {name: [_value(source, number, row, name) for number, row in rows] for name in dict.fromkeys(fields)}


def _value(source: str, number: int, row: dict[str, Any], name: str) -> str:
    place = f"{source}, row {number}"
    if name not in row:
        raise UserError(f'{place}: no field "{name}" to group by; the row has {names_of(row)}')
    value = row[name]
    if isinstance(value, (list, dict)):
        raise UserError(f'{place}: "{name}" is {shown(value)}, which is no group: name a field with one value')
    return value if isinstance(value, str) else shown(value)


def describe(
    groups: dict[str, list[str]], results: Sequence[Result | None], clusters: Sequence[str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Returns the accuracies of each group, with their intervals, in the order in which people count.

    Args:
        groups: from `read`.
        results: of all problems, by one grader.
        clusters: of all problems; a group within one cluster is a sample of that cluster, of independent problems.

    Returns:
        Maps a field to its values: {"value", "count", "maj1@1", …}, as JSON values. `count` is the number of problems,
        less those whose gold answer the grader cannot read.
    """
    return {
        name: [
            {"value": value, "count": len(members), **shares([results for results, _ in members], _several(members))}
            for value, members in _divided(values, results, clusters)
        ]
        for name, values in groups.items()
    }


def _divided(
    values: Sequence[str], results: Sequence[Result | None], clusters: Sequence[str] | None
) -> Iterator[tuple[str, list[tuple[Result, str | None]]]]:
    members: dict[str, list[tuple[Result, str | None]]] = {value: [] for value in sorted(set(values), key=_as_counted)}
    named: Sequence[str | None] = clusters or [None] * len(values)
    for value, result, cluster in zip(values, results, named, strict=True):
        if result is not None:
            members[value].append((result, cluster))
    yield from members.items()


def _several(members: Sequence[tuple[Result, str | None]]) -> list[str] | None:
    """Returns the clusters, where there are several."""
    clusters = [cluster for _, cluster in members if cluster is not None]
    return clusters if len(set(clusters)) > 1 else None


def _as_counted(value: str) -> list[tuple[int, int, str]]:
    """Returns a key by which `Level 2` comes before `Level 10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split("([0-9]+)", value)]


def lines(described: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yields a table for the terminal: under each field its values, with problems and accuracies in percent."""
    for name, found in described.items():
        if len(found) > MOST_SHOWN:
            yield f"by {name}: {len(found):,} values, in metrics.json"
            continue
        wide = max(len(name) + 3, *(len(group["value"]) for group in found))
        measures = [key for key in dict.fromkeys(itertools.chain(*found)) if key.startswith("maj1@")]
        yield f"{f'by {name}':{wide}}{'problems':>10}" + "".join(f"{measure:>24}" for measure in measures)
        for group in found:
            cells = "".join(f"{cell(group.get(measure)):>24}" for measure in measures)
            yield f"{group['value']:{wide}}{group['count']:>10,}{cells}{few(group['count'])}"


def few(count: int) -> str:
    """Returns a mark behind groups that say little."""
    return "  few" if count < FEW else ""


def cell(estimate: dict[str, float] | None) -> str:
    """Returns `41.6 (38.9 to 44.3)` for shares 0.416, 0.389, 0.443; a dash where nothing could be graded."""
    return "–" if estimate is None else percent(estimate)
