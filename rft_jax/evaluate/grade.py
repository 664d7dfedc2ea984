"""Grades responses problem by problem, with any grader."""

import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from rft_jax.errors import UserError
from rft_jax.evidence.intervals import pass_at_k, share
from rft_jax.records.path import Path
from rft_jax.task.grader import Grader


class Answer(NamedTuple):
    """What a grader reads in a response.

    Attributes:
        value: the answer, or None.
        right: whether it equals the gold answer.
    """

    value: Hashable | None
    right: bool


@dataclasses.dataclass(frozen=True)
class Result:
    """The result on one problem, by one grader.

    Attributes:
        greedy: whether the greedy path is right (maj1@1); None if there is none.
        vote: whether the majority of the samples is right (maj1@k); None if there are no samples.
        right: number of right samples.
        samples: number of samples.
    """

    greedy: bool | None
    vote: bool | None
    right: int
    samples: int


def judge(grader: Grader, gold: Hashable, responses: Sequence[str]) -> list[Answer]:
    """Returns the answer of each response to one problem, and whether it is right."""
    values = [grader.parse(response) for response in responses]
    return [Answer(value, value is not None and grader.equal(value, gold)) for value in values]


def grade(grader: Grader, gold: Hashable, greedy: Sequence[Answer], samples: Sequence[Answer]) -> Result:
    """Returns the result on one problem.

    Args:
        grader: the grader that read the answers.
        gold: the gold answer.
        greedy: the answer of the greedy path, or nothing.
        samples: the answers of the samples.
    """
    winner = grader.vote(answer.value for answer in samples)
    voted = winner is not None and grader.equal(winner, gold)
    return Result(
        greedy[0].right if greedy else None,
        voted if samples else None,
        sum(answer.right for answer in samples),
        len(samples),
    )


def responses_of(paths: Iterable[Path], problems: int, k: int) -> list[list[str]]:
    """Returns the first k responses to each problem, ordered by sample number.

    Raises:
        UserError: a response is missing.
    """
    found: list[dict[int, str]] = [{} for _ in range(problems)]
    for path in paths:
        if path.sample < k:
            found[path.problem][path.sample] = path.response
    for number, samples in enumerate(found):
        if len(samples) != k:
            raise UserError(f"problem {number} has {len(samples)} of {k} paths; run the command again to complete them")
    return [[samples[sample] for sample in range(k)] for samples in found]


def describe(results: Sequence[Result | None], clusters: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns maj1@1, maj1@k and pass@k with their intervals, as far as the results have them.

    A problem without a result, because the grader cannot read its gold answer, does not count.

    Args:
        results: of all problems.
        clusters: of each problem, the cluster to which it belongs.
    """
    graded = [number for number, result in enumerate(results) if result is not None]
    known = [result for result in results if result is not None]
    chosen = None if clusters is None else [clusters[number] for number in graded]
    measures = shares(known, chosen)
    if known and (samples := known[0].samples):
        for k in reported_ks(samples):
            estimate = share([pass_at_k(result.samples, result.right, k) for result in known], chosen)
            measures[f"pass@{k}"] = dataclasses.asdict(estimate)
    return measures


def shares(known: Sequence[Result], clusters: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns maj1@1 and maj1@k, shares of the problems, with their intervals, as far as the results have them."""
    measures = {}
    if known and known[0].greedy is not None:
        measures["maj1@1"] = share([bool(result.greedy) for result in known], clusters)
    if known and (samples := known[0].samples):
        measures[f"maj1@{samples}"] = share([bool(result.vote) for result in known], clusters)
    return {name: dataclasses.asdict(estimate) for name, estimate in measures.items()}


def reported_ks(samples: int) -> list[int]:
    """Returns the k at which pass@k is reported: powers of 2, and the number of samples itself."""
    return sorted({1 << power for power in range(samples.bit_length())} | {samples})
