"""The section on differences between models, each over all seeds and problems that there are."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rft_jax.evidence.compare import Comparison, compare
from rft_jax.evidence.intervals import FEW_CLUSTERS, Estimate, percent
from rft_jax.evidence.verdict import holm, verdict
from rft_jax.report.collect import Evaluation, Workdir
from rft_jax.report.page import fold, paragraph, table
from rft_jax.report.replicates import MEASURE, Replicates, base_of, clusters, is_shared, measured, replicates, seed_of

MODEL = (
    "The interval of a difference takes seeds and problems as random, each with an effect of its own (crossed random "
    "effects: Owen and Eckles 2012, arXiv 1106.2125), and is Tango's score interval (1998) at that effective size, "
    "wider where few seeds make much of the variance (after Banerjee 1961)."
)
ONE_SEED = "With one seed it is over problems alone, and does not say how much of a difference is that seed's luck."
TWO_SEEDS = "Two seeds say little about others: intervals over two are wide."


@dataclasses.dataclass(frozen=True)
class Compared:
    """A model beside another.

    Attributes:
        name: `B against A`.
        both: over all seeds and problems.
        each: by seed, where there are several.
        seeds, planned: how many seeds there are, and are to be.
        problems: number of problems.
        cluster: metrics.json's cluster, or None.
    """

    name: str
    both: Comparison
    each: dict[int, Comparison]
    seeds: int
    planned: int
    problems: int
    cluster: dict[str, Any] | None

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the seeds' differences."""
        values = [each.difference.mean for each in self.each.values()]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    @property
    def points(self) -> str:
        """The difference in percent, with its interval."""
        return percent(dataclasses.asdict(self.both.difference), signed=True)

    @property
    def of_seeds(self) -> str:
        """The number of seeds in words."""
        return str(self.seeds) if self.seeds >= self.planned else f"{self.seeds} of {self.planned}"

    @property
    def of_problems(self) -> str:
        """The number of problems in words."""
        return f"{self.problems:,}" + (f" in {self.cluster['count']:,} clusters" if self.cluster else "")

    def row(self, adjusted: float) -> list[str]:
        """Returns the cells of a table: those of `HEAD`."""
        deviation = self.deviation
        return [
            self.name,
            self.points,
            verdict(self.both.difference, adjusted),
            f"{adjusted:.2g}",
            "–" if deviation is None else f"{100 * deviation:.1f}",
            self.of_seeds,
            self.of_problems,
        ]


HEAD = ["on the same problems", f"points of {MEASURE}", "verdict", "p (Holm)", "sd over seeds", "seeds", "problems"]


def section(run: Workdir) -> str:
    """Returns the comparisons as HTML: over seeds and problems together, with verdicts, and seed by seed."""
    found = compared(run)
    if not found:
        return ""
    return paragraph(" ".join([MODEL, *notes(found)])) + table(HEAD, rows(found)) + by_seed(run, found)


def by_seed(run: Workdir, found: list[Compared]) -> str:
    """Returns each comparison seed by seed, folded; nothing for one seed."""
    seeds = list(dict.fromkeys(seed for each in found for seed in sorted(each.each)))
    if not seeds:
        return ""
    first = int(run.plan.get("seed", 0))
    rows = [[each.name, *(_cell(each.each.get(seed)) for seed in seeds)] for each in found if each.each]
    head = [f"points of {MEASURE}", *(f"seed {first + seed}" for seed in seeds)]
    return fold("Seed by seed", "over problems alone, with 95 % intervals", table(head, rows))


def rows(found: list[Compared]) -> list[list[str]]:
    """Returns the table of all comparisons, below `HEAD`."""
    adjusted = holm([each.both.p for each in found])
    return [each.row(p) for each, p in zip(found, adjusted, strict=True)]


def notes(found: list[Compared]) -> list[str]:
    """Returns what else there is to know of these comparisons, in sentences."""
    corrected = f"Verdicts and p-values are corrected for {len(found)} comparisons (Holm 1979)."
    return [*([corrected] if len(found) > 1 else []), *on_seeds(found)]


def on_seeds(found: list[Compared]) -> list[str]:
    """Returns what the numbers of seeds and clusters mean for these comparisons, in sentences."""
    told = [ONE_SEED] if any(each.seeds == 1 for each in found) else []
    told += [TWO_SEEDS] if any(each.seeds == 2 for each in found) else []
    for cluster in {each.cluster["field"]: each.cluster for each in found if each.cluster}.values():
        few = ": so few that it is a guess" if cluster["count"] < FEW_CLUSTERS else ""
        told.append(f"Problems are taken by {cluster['field']}, {cluster['count']:,} clusters{few}.")
    return told


def _cell(comparison: Comparison | None) -> str:
    return percent(None if comparison is None else dataclasses.asdict(comparison.difference), signed=True)


def compared(run: Workdir) -> list[Compared]:
    """Returns the comparisons that the plan, or by hand the evaluations, ask for.

    Raises:
        UserError: results are missing or damaged.
    """
    found = []
    for problems, part in run.by_problems():
        where = f" on {problems}" if problems else ""
        found += [dataclasses.replace(each, name=f"{each.name}{where}") for each in _on_these_problems(part)]
    return found


def _on_these_problems(run: Workdir) -> list[Compared]:
    groups = replicates(run)
    model_of = {each.name: group for group in groups for each in group.evaluations}
    found = []
    for group in groups:
        pairs: dict[str, list[tuple[Evaluation, Evaluation]]] = {}
        for each in group.evaluations:
            for other in _against(run, each):
                if isinstance(other, Evaluation):
                    pairs.setdefault(base_of(run, other.name), []).append((other, each))
                else:
                    found.append(_recorded(each, other))
        found += [_compared(run, model_of[both[0][0].name], group, both) for both in pairs.values()]
    return found


def between(run: Workdir, first: Replicates, second: Replicates) -> Compared | None:
    """Returns the comparison of two evaluations over the seeds that both have; None where there is none.

    A model that all seeds share stands beside each of them.

    Raises:
        UserError: they are on other problems, or results are damaged.
    """
    one, other = ({seed_of(run, each): each for each in group.evaluations} for group in (first, second))
    if is_shared(run, first.first):
        one = dict.fromkeys(other, first.first)
    elif is_shared(run, second.first):
        other = dict.fromkeys(one, second.first)
    pairs = [(one[seed], other[seed]) for seed in sorted(one.keys() & other.keys())]
    return _compared(run, first, second, pairs) if pairs else None


def _against(run: Workdir, evaluation: Evaluation) -> Iterator[Evaluation | dict[str, Any]]:
    """Yields the evaluations of this run to compare with; of others, what was recorded of the comparison."""
    known = {each.name: each for each in run.evaluations}
    stage = run.stage(evaluation.name)
    if stage:
        yield from (known[name] for name in stage["against"] if name in known)
        return
    if run.plan:
        return  # left by an earlier run
    for entry in evaluation.metrics["against"]:
        folder = Path(entry.get("workdir", ""))
        here = known.get(folder.name)
        yield here if here and (not folder.exists() or folder.samefile(here.folder)) else entry


def _compared(
    run: Workdir, before: Replicates, group: Replicates, pairs: list[tuple[Evaluation, Evaluation]]
) -> Compared:
    name = f"{group.model} against {before.model}"
    grader, named = pairs[0][1].grader, clusters(pairs[0][1])
    both = [[[bool(right) for right in measured(each, grader, MEASURE)] for each in pair] for pair in pairs]
    each = {
        seed_of(run, second): compare(one, two, named) for (_, second), (one, two) in zip(pairs, both, strict=True)
    }  # fmt: skip
    metrics = pairs[0][1].metrics
    firsts, seconds = zip(*both, strict=True)
    planned = max(before.planned, group.planned)
    return Compared(
        name, compare(firsts, seconds, named), each if len(pairs) > 1 else {}, len(pairs), planned, metrics["count"],
        metrics.get("cluster"),
    )  # fmt: skip


def _recorded(evaluation: Evaluation, entry: dict[str, Any]) -> Compared:
    """Returns a comparison with an evaluation elsewhere, as it was made then."""
    difference = Estimate(**entry["difference"])
    made = Comparison(difference, entry["only_first"], entry["only_second"], entry["p"])
    metrics = evaluation.metrics
    name = f"{metrics['name']} against {entry['name']}"
    return Compared(name, made, {}, 1, 1, metrics["count"], metrics.get("cluster"))
