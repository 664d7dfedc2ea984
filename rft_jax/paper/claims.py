"""What the paper claims of accuracies, as comparisons of two models: those that an experiment can show, or not."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

from rft_jax.paper.cells import evaluation, rft_name, sft_name
from rft_jax.paper.preset import Preset

Expected = Literal["better", "no better"] | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models, of which the second is said to be better, or no better.

    Attributes:
        words: which two.
        first, second: their evaluations.
    """

    words: str
    first: str
    second: str


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper, or a question that it leaves open; p-values are corrected within it.

    Attributes:
        words: the claim.
        expected: what the paper says of each second model; None: it has no such experiment.
        comparisons: that test it.
    """

    words: str
    expected: Expected
    comparisons: tuple[Comparison, ...]


def claims(size: Preset) -> Iterator[Claim]:
    """Yields the claims that the experiments of a size can test."""
    yield _claim("SFT beats in-context learning", "better", ((model, model, sft_name(model)) for model in size.names))
    parts = (*reversed(size.fractions), 1)
    yield _claim(
        "More problems are better",
        "better",
        (
            (f"{model}, {_part(fewer)} to {_part(more)}", sft_name(model, fewer), sft_name(model, more))
            for model in size.fraction_models
            for fewer, more in itertools.pairwise(parts)
        ),
    )
    yield _claim(
        "As many steps on fewer problems are no better than as many epochs",
        "no better",
        (
            (f"{model}, {_part(part)}", sft_name(model, part), sft_name(model, part, steps=True))
            for model in size.fraction_models
            for part in size.fractions
        ),
    )
    yield _claim(
        "RFT beats SFT",
        "better",
        ((model, sft_name(model), rft_name(model)) for model in size.students if model != size.unmoved),
    )
    yield _claim(
        "RFT beats SFT for as many steps",
        None,
        ((model, f"{rft_name(model)}-steps", rft_name(model)) for model in size.students),
    )
    yield _claim(
        "Distinct paths beat as many drawn at random",
        None,
        ((model, f"{rft_name(model)}-random", rft_name(model)) for model in size.students),
    )
    yield _claim(
        "The farthest path of a list beats the nearest",
        None,
        [(size.base, rft_name(size.base, "nearest"), rft_name(size.base))],
    )
    yield _claim(
        f"k = {size.k} beats k = {size.ks[0]}",
        "better",
        ((model, rft_name(model, f"k{size.ks[0]}"), rft_name(model)) for model in size.curve_models),
    )
    yield _claim(
        "Every right path is no better than the distinct ones",
        "no better",
        ((model, rft_name(model), rft_name(model, "none")) for model in size.curve_models),
    )
    yield _claim(
        "The paths of several models beat one's own",
        "better",
        (
            (f"{model}, {union.upper()}", _own(size, model), rft_name(model, union))
            for model in size.union_students
            for union in ("u13b", "u33b")
        ),
    )
    yield _claim(
        f"T = {size.hot} beats T = {size.temperature}",
        None,
        ((model, rft_name(model), rft_name(model, "hot")) for model in size.hot_models),
    )
    yield _claim(
        "A round beats the one before",
        None,
        (
            (f"{size.base}, round {number}", _round(size, number - 1), _round(size, number))
            for number in range(2, size.rounds + 1)
        ),
    )


def _claim(words: str, expected: Expected, pairs: Iterator[tuple[str, str, str]] | list[tuple[str, str, str]]) -> Claim:
    made = (Comparison(which, evaluation(first), evaluation(second)) for which, first, second in pairs)
    return Claim(words, expected, tuple(made))


def _part(part: int) -> str:
    return "all" if part == 1 else f"1/{part}"


def _own(size: Preset, model: str) -> str:
    """Returns the model that a union is compared with."""
    return rft_name(model) if model in size.students else sft_name(model)


def _round(size: Preset, number: int) -> str:
    return rft_name(size.base, "" if number == 1 else f"round{number}")
