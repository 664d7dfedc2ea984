"""The section on budgets: what each found, beside uniform sampling from the same model."""

import dataclasses
from collections.abc import Callable

import numpy as np

from rft_jax.budget.outcome import Grading
from rft_jax.budget.tally import Tally, tally
from rft_jax.config import UNIFORM
from rft_jax.errors import UserError
from rft_jax.evidence.mean import mean
from rft_jax.provenance import FIELD
from rft_jax.records.manifest import BUDGET, POLICIES
from rft_jax.report.collect import Sampling, Workdir, criteria_of
from rft_jax.report.page import paragraph, table
from rft_jax.report.replicates import base_of
from rft_jax.sample.sharing.terms import TILE

_HEAD = (
    "budget", "tokens", "right", "distinct", "against uniform", "never solved", "against uniform",
)  # fmt: skip
_OTHERWISE = ("name", FIELD, TILE, BUDGET)  # of a manifest: what makes no path another one


@dataclasses.dataclass(frozen=True)
class Compared:
    """Sampling by a budget, of one or several seeds, beside uniform sampling from the same models.

    Attributes:
        name: of the stage, without its seed.
        budget: the policy; of uniform sampling `uniform`.
        ours, uniform: what was found, by seed; of uniform sampling itself both are the same.
    """

    name: str
    budget: str
    ours: list[Tally]
    uniform: list[Tally]

    def difference(self, of: Callable[[Tally], np.ndarray]) -> np.ndarray:
        """Returns the differences of a count to uniform sampling: float [seeds, problems]."""
        pairs = zip(self.ours, self.uniform, strict=True)
        return np.stack([of(mine).astype(float) - of(theirs) for mine, theirs in pairs])

    def average(self, of: Callable[[Tally], np.ndarray]) -> float:
        """Returns the mean of a count over seeds and problems."""
        return float(np.mean([of(mine).mean() for mine in self.ours]))


def section(run: Workdir) -> str:
    """Returns a table of budgets, or "" where every problem has the same number of samples."""
    if not any(BUDGET in each.manifest for each in run.samplings):
        return ""
    found = compared(run)
    problems = sorted({f"{len(each.ours[0].right):,}" for each in found})
    seeds = sorted({str(len(each.ours)) for each in found})
    intro = paragraph(
        "What was found among the paths of each budget, and how far that is from uniform sampling of the same model, "
        "with 95 % intervals, paired by problem. With several seeds, seeds and problems are random, with effects of "
        "their own (Owen and Eckles 2012, arXiv 1106.2125). Compare budgets of as many tokens. Counts are per "
        f"problem, but for how many of {' or '.join(problems)} problems are never solved; {' or '.join(seeds)} seeds."
    )
    budgets = [each.budget for each in found]
    rows = [
        [each.budget if budgets.count(each.budget) == 1 else f"{each.budget}, {each.name}", *_cells(each)]
        for each in found
    ]
    return intro + table(_HEAD, rows) if found else ""


def compared(run: Workdir) -> list[Compared]:
    """Returns each way to sample from a model beside the uniform one, over the seeds that have both.

    Raises:
        UserError: a path or a gold answer cannot be read.
    """
    uniform = {_asked(each): each for each in run.samplings if BUDGET not in each.manifest}
    pairs: dict[str, list[tuple[Sampling, Sampling]]] = {}
    for each in run.samplings:
        if (other := uniform.get(_asked(each))) is not None and run.problems_of(each.name):
            pairs.setdefault(base_of(run, each.name), []).append((each, other))
    tallies: dict[str, Tally] = {}

    def counted(sampling: Sampling) -> Tally:
        if sampling.name not in tallies:
            tallies[sampling.name] = _tally(run, sampling)
        return tallies[sampling.name]

    return [
        Compared(
            name,
            str((both[0][0].manifest.get(BUDGET) or {POLICIES: [UNIFORM]})[POLICIES][-1]),
            [counted(mine) for mine, _ in both],
            [counted(theirs) for _, theirs in both],
        )
        for name, both in pairs.items()
    ]


def _asked(sampling: Sampling) -> str:
    """Returns what is the same where the same problem and sample number give the same path."""
    return repr(sorted((name, value) for name, value in sampling.manifest.items() if name not in _OTHERWISE))


def _tally(run: Workdir, sampling: Sampling) -> Tally:
    problems = run.problems_of(sampling.name) or []
    chosen = criteria_of(run.training_sets[0] if run.training_sets else None)
    grading = Grading(problems, run.source_of(sampling.name), chosen.task, chosen.graders[0])
    try:
        return tally(sampling.paths(len(problems)), grading, len(problems))
    except UserError as error:
        raise UserError(f"{sampling.folder}: {error}") from None


def _cells(each: Compared) -> list[str]:
    """Returns what stands beside the budget."""
    problems = len(each.ours[0].right)
    is_other = any(mine is not theirs for mine, theirs in zip(each.ours, each.uniform, strict=True))
    base = float(np.mean([theirs.distinct.mean() for theirs in each.uniform]))
    never = problems * each.average(_unsolved)
    return [
        f"{each.average(lambda found: found.tokens):,.0f}",
        f"{each.average(lambda found: found.right):.2f}",
        f"{each.average(lambda found: found.distinct):.2f}",
        _signed(each.difference(lambda found: found.distinct), 100 / base, 1, " %") if is_other and base else "–",
        f"{never:.0f}",
        _signed(each.difference(_unsolved), problems, 0) if is_other else "–",
    ]


def _unsolved(found: Tally) -> np.ndarray:
    return found.right == 0


def _signed(differences: np.ndarray, scale: float, digits: int, unit: str = "") -> str:
    estimate = mean(scale * differences)
    if estimate is None:
        return "–"
    return f"{estimate.mean:+.{digits}f}{unit} ({estimate.low:+.{digits}f} to {estimate.high:+.{digits}f})"
