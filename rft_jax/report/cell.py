"""A cell of a table on the paper's experiments: what one kind of stage made, over all seeds."""

import statistics
from collections.abc import Mapping
from typing import Any

from rft_jax.report.collect import Selection, Workdir
from rft_jax.report.replicates import MEASURE, Replicates, base_of, replicates


def evaluated(run: Workdir, base: str) -> Replicates | None:
    """Returns an evaluation's replicates that are done, or None where none is."""
    return next((each for each in replicates(run) if base_of(run, each.first.name) == base), None)


def accuracy(run: Workdir, base: str, measure: str = MEASURE) -> Mapping[str, float] | None:
    """Returns the accuracy of an evaluation over its seeds and problems, or None where it was not run."""
    found = evaluated(run, base)
    return None if found is None else found.estimate(found.first.grader, measure)


def shown(run: Workdir, base: str, measure: str = MEASURE) -> str:
    """Returns `41.6 (38.9 to 44.3)`, and how many seeds if not all; nothing for a cell that was never run."""
    found = evaluated(run, base)
    if found is None or found.estimate(found.first.grader, measure) is None:
        return ""
    return found.told(found.first.grader, measure)


def names_of(run: Workdir, base: str) -> list[str]:
    """Returns the names of a stage's replicates, in the order of their seeds."""
    return [stage["name"] for stage in run.plan.get("stages", ()) if stage.get("base", stage["name"]) == base]


def selections(run: Workdir, base: str) -> list[Selection]:
    """Returns the selections of a stage's replicates."""
    names = names_of(run, base)
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
    records: list[dict[str, Any]] = [run.records[name] for name in names_of(run, base) if name in run.records]
    return [float(record["seconds"]) for record in records if record["done"]]
