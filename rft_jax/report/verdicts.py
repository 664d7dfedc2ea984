"""Why a path was kept or rejected, in words: for the problems that a reader leafs through."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.task import answer
from rft_jax.task.equations import equation_list, find_equations, holds


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a path.

    Attributes:
        kept: whether it is in the training set.
        why: in words.
        model: whose path it is; the first one's of several with the same text.
        response: its text.
        count: how many samples have this text.
    """

    kept: bool
    why: str
    model: str
    response: str
    count: int


def judge(problem: Problem, paths: Sequence[Path], selected: Iterable[str]) -> list[Verdict]:
    """Returns a verdict for each text, kept ones first, then the frequent ones.

    Args:
        problem: with its gold answer.
        paths: of the problem.
        selected: the responses of the problem in the training set, without the gold one.
    """
    kept = set(selected)
    kept_lists = {equation_list(find_equations(response)) for response in kept}
    gold = answer.reference_answer(problem.response)
    counts = Counter(path.response for path in paths)
    first = {path.response: path for path in reversed(paths)}

    def why(response: str) -> str:
        if response in kept:
            return "right answer, right equations, a new list of equations"
        given = answer.reference_answer(response)
        if given is None:
            return "no answer after ####"
        if not answer.reference_equal(given, gold, tolerance=0.0):
            return f"answer {given}, the gold one is {gold}"
        equations = find_equations(response)
        wrong = [equation for equation in equations if not holds(equation)]
        if wrong:
            return f"right answer, but {wrong[0].strip()} does not hold"
        if equation_list(equations) in kept_lists:
            return "right, but a kept path has the same list of equations"
        return "right, but not selected"

    verdicts = [
        Verdict(response in kept, why(response), first[response].model, response, count)
        for response, count in counts.items()
    ]
    return sorted(verdicts, key=lambda verdict: (not verdict.kept, -verdict.count))
