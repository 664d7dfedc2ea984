"""A cell of a table on the paper's experiments: what one kind of stage made, over all seeds."""

import statistics
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rft_jax.evaluate import outcome
from rft_jax.evidence.intervals import Estimate, share
from rft_jax.records.lines import read_objects
from rft_jax.report.collect import Selection, Workdir

GREEDY, VOTE = "greedy", "vote"


def replicates(run: Workdir, base: str) -> list[str]:
    """Returns the names of a stage's replicates, in the order of their seeds."""
    return [stage["name"] for stage in run.plan.get("stages", ()) if stage.get("base", stage["name"]) == base]


def right(run: Workdir, base: str, kind: str = GREEDY) -> NDArray[np.float64] | None:
    """Returns which problems the model of an evaluation solves, (seeds, problems), of the seeds that are done.

    Args:
        run: the workdir.
        base: name of the evaluation, without its seed.
        kind: by its greedy path, or by the vote of its samples.

    Returns:
        The answers, 0 or 1; None where no seed is done, or nobody voted.
    """
    rows = []
    for evaluation in run.evaluations:
        if evaluation.name not in replicates(run, base):
            continue
        results = [line[evaluation.grader] for _, line in read_objects(run.folder / evaluation.name / outcome.RESULTS)]
        answers = [None if result is None else result[kind] for result in results]
        if any(answer is not None for answer in answers):
            rows.append([bool(answer) for answer in answers])
    return np.asarray(rows, np.float64) if rows and len({len(row) for row in rows}) == 1 else None


def accuracy(run: Workdir, base: str, kind: str = GREEDY) -> Estimate | None:
    """Returns the accuracy of an evaluation over its seeds and problems, or None where it was not run."""
    answers = right(run, base, kind)
    return None if answers is None else share(answers)


def shown(estimate: Estimate | None) -> str:
    """Returns `41.6 (38.9 to 44.3)`; nothing for a cell that was never run."""
    if estimate is None:
        return ""
    return f"{100 * estimate.mean:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def selections(run: Workdir, base: str) -> list[Selection]:
    """Returns the selections of a stage's replicates."""
    names = replicates(run, base)
    return [selection for selection in run.selections if selection.name in names]


def at_k(run: Workdir, base: str, k: int, field: str) -> list[float]:
    """Returns a statistic of the first k samples per problem, for each seed."""
    found = (selection.statistics["united"]["at_k"].get(str(k)) for selection in selections(run, base))
    return [float(values[field]) for values in found if values and field in values]


def spread(values: list[float], digits: int = 2) -> str:
    """Returns `2.14 ± 0.03`, mean and standard deviation over the seeds; nothing where there are none."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def seconds(run: Workdir, base: str) -> list[float]:
    """Returns the run times of a stage's replicates that are done."""
    records: list[dict[str, Any]] = [run.records[name] for name in replicates(run, base) if name in run.records]
    return [float(record["seconds"]) for record in records if record["done"]]
