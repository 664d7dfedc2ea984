"""From paths to what is right about them, problem by problem, by both graders."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from rft_jax.errors import UserError
from rft_jax.evaluate.intervals import bootstrap, pass_at_k, wilson
from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.task import answer
from rft_jax.task.answer import GRADERS


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one problem, by one grader.

    Attributes:
        greedy: whether the greedy path is right, maj1@1; None where none was asked for.
        vote: whether the majority of the samples is right, maj1@K; None where there are no samples.
        right: how many samples are right.
        samples: how many there are.
    """

    greedy: bool | None
    vote: bool | None
    right: int
    samples: int


def grade(grader: str, problem: Problem, greedy: str | None, samples: Sequence[str]) -> Result:
    """Grades the responses to one problem.

    Args:
        grader: one of `answer.GRADERS`.
        problem: with the gold answer.
        greedy: the response at temperature 0, if there is one.
        samples: the responses at a temperature above.
    """
    if grader not in GRADERS:
        raise ValueError(f"unknown grader {grader!r}; there are {', '.join(GRADERS)}")
    one = _reference if grader == "reference" else _robust
    greedily_right = None if greedy is None else one(problem, [greedy])[0] == 1
    right, vote = one(problem, samples)
    return Result(greedily_right, vote if samples else None, right, len(samples))


def _reference(problem: Problem, responses: Sequence[str]) -> tuple[int, bool]:
    gold = answer.reference_answer(problem.response)
    answers = [answer.reference_answer(response) for response in responses]

    def is_right(given: str | None) -> bool:
        return answer.reference_equal(given, gold, tolerance=answer.EVALUATION_TOLERANCE)

    return sum(map(is_right, answers)), is_right(answer.reference_vote(answers))


def _robust(problem: Problem, responses: Sequence[str]) -> tuple[int, bool]:
    gold = answer.robust_answer(problem.response)
    votes: Counter[Fraction] = Counter(
        given for response in responses if (given := answer.robust_answer(response)) is not None
    )
    winner = max(votes, key=votes.__getitem__, default=None)
    return (0 if gold is None else votes[gold]), gold is not None and winner == gold


def responses_of(paths: Iterable[Path], problems: int, k: int) -> list[list[str]]:
    """Returns the first k responses to each problem, in the order of their samples.

    Raises:
        UserError: one is missing.
    """
    found: list[dict[int, str]] = [{} for _ in range(problems)]
    for path in paths:
        if path.sample < k:
            found[path.problem][path.sample] = path.response
    for number, samples in enumerate(found):
        if len(samples) != k:
            raise UserError(f"problem {number} has {len(samples)} of {k} paths; run the command again to complete them")
    return [[samples[sample] for sample in range(k)] for samples in found]


def describe(results: Sequence[Result]) -> dict[str, Any]:
    """Returns accuracy, votes and pass@k with their intervals, for the measures that there are.

    Shares of problems have Wilson's interval, averages of estimates a bootstrap interval.
    """
    measures = {}
    if results[0].greedy is not None:
        measures["maj1@1"] = wilson(sum(bool(result.greedy) for result in results), len(results))
    samples = results[0].samples
    if samples:
        measures[f"maj1@{samples}"] = wilson(sum(bool(result.vote) for result in results), len(results))
        for k in prefixes(samples):
            measures[f"pass@{k}"] = bootstrap([pass_at_k(result.samples, result.right, k) for result in results])
    return {name: dataclasses.asdict(estimate) for name, estimate in measures.items()}


def prefixes(samples: int) -> list[int]:
    """Returns the k for which pass@k is told: powers of 2, and all."""
    return sorted({1 << power for power in range(samples.bit_length())} | {samples})
