"""What the paper claims of accuracies, as comparisons of two models: those that an experiment can show, or not."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

from rft_jax.paper.cells import evaluation, rft_name, sft_name
from rft_jax.paper.preset import Preset


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim.

    Attributes:
        words: of the paper, or the question that a control answers.
        first, second: evaluations, of which the second is said to be better, or as good.
        expected: what the paper says of the second; None: it has no such experiment.
    """

    words: str
    first: str
    second: str
    expected: Literal["better", "no better"] | None


def claims(size: Preset) -> Iterator[Claim]:
    """Yields the claims that the experiments of a size can test."""

    def compared(words: str, first: str, second: str, expected: Literal["better", "no better"] | None) -> Claim:
        return Claim(words, evaluation(first), evaluation(second), expected)

    for model in size.names:
        yield compared(f"SFT beats ICL ({model})", model, sft_name(model), "better")
    for model in size.fraction_models:
        parts = (*reversed(size.fractions), 1)
        for fewer, more in itertools.pairwise(parts):
            words = f"more problems are better ({model}, 1/{fewer} to {f'1/{more}' if more > 1 else 'all'})"
            yield compared(words, sft_name(model, fewer), sft_name(model, more), "better")
        for part in size.fractions:
            words = f"more steps on 1/{part} are no better than the usual epochs ({model})"
            yield compared(words, sft_name(model, part), sft_name(model, part, steps=True), "no better")
    for model in size.students:
        rft = rft_name(model)
        last = size.name == "full" and model == "33B"
        yield compared(f"RFT beats SFT ({model})", sft_name(model), rft, "no better" if last else "better")
        yield compared(f"is it more than longer training? ({model})", f"{rft}-steps", rft, None)
        yield compared(f"is it the choice of distinct paths? ({model})", f"{rft}-random", rft, None)
    for model in size.curve_models:
        first = rft_name(model, f"k{size.ks[0]}")
        yield compared(f"k = {size.k} beats k = {size.ks[0]} ({model})", first, rft_name(model), "better")
        no_dedup = rft_name(model, "none")
        yield compared(
            f"every right path is no better than distinct ones ({model})", rft_name(model), no_dedup, "no better"
        )
    for model in size.union_students:
        own = rft_name(model) if model in size.students else sft_name(model)
        for union in ("u13b", "u33b"):
            yield compared(
                f"the paths of several models beat one's own ({model}, {union.upper()})",
                own,
                rft_name(model, union),
                "better",
            )
    base = rft_name(size.base)
    yield compared(f"farthest against nearest ({size.base})", rft_name(size.base, "nearest"), base, None)
    for model in size.hot_models:
        yield compared(
            f"T = {size.hot} against T = {size.temperature} ({model})", rft_name(model), rft_name(model, "hot"), None
        )
    for number in range(2, size.rounds + 1):
        before = base if number == 2 else rft_name(size.base, f"round{number - 1}")
        yield compared(
            f"round {number} against the one before ({size.base})", before, rft_name(size.base, f"round{number}"), None
        )
