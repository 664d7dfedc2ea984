"""Why a path was kept or rejected, in words, for the problems shown in the report."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.task.equations import Equations, find_equations
from rft_jax.task.grader import Grader
from rft_jax.task.unfit import unfit


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a path.

    Attributes:
        kept: whether it is in the training set.
        why: the reason, in words.
        model: the model that sampled it, or the first of several.
        response: its text.
        count: number of samples with this text.
    """

    kept: bool
    why: str
    model: str
    response: str
    count: int


_UNFIT = {
    "run_on": "right answer, but it ran on past the answer and was cut",
    "not_text": "right answer, but it contains half of a character",
}


def judge(
    problem: Problem,
    paths: Sequence[Path],
    selected: Iterable[str],
    grader: Grader,
    equations: Equations,
    stops: Sequence[str],
    *,
    distinct: bool = True,
) -> list[Verdict]:
    """Returns a verdict on each distinct text, kept ones first, then by frequency.

    Args:
        problem: the problem, with its gold answer.
        paths: the problem's paths.
        selected: the problem's responses in the training set, without the gold one.
        grader: decides which answers are right.
        equations: finds and checks the equations.
        stops: texts that end a response by the task's template.
        distinct: whether the selection keeps one path per list of equations.
    """
    kept = set(selected)
    kept_lists = {equations.name(response) for response in kept}
    gold = grader.parse(problem.response)
    counts = Counter(path.response for path in paths)
    first = {path.response: path for path in reversed(paths)}

    def why(response: str) -> str:
        if response in kept:
            return "right answer, right equations, a new list of equations" if distinct else "right answer, selected"
        given = grader.parse(response)
        if given is None:
            return f"no answer that the grader {grader.name} can read"
        if gold is None or not grader.equal_in_selection(given, gold):
            return f"answer {given}, but the gold answer is {gold}"
        if reason := unfit(first[response], problem.response, stops):
            return _UNFIT[reason]
        if equations.key(response) is None:
            return f"right answer, but {_wrong(response, equations)} does not hold"
        if distinct and equations.name(response) in kept_lists:
            return "right, but a kept path has the same list of equations"
        return "right, but not selected"

    verdicts = [
        Verdict(response in kept, why(response), first[response].model, response, count)
        for response, count in counts.items()
    ]
    return sorted(verdicts, key=lambda verdict: (not verdict.kept, -verdict.count))


def _wrong(response: str, equations: Equations) -> str:
    """Returns the first equation that does not hold on its own."""
    form = "<<{}>>" if find_equations(response) else "{}"  # as they are written in this response
    found = equations.find(response)
    return next((each.strip() for each in found if equations.key(form.format(each)) is None), "one of its equations")
