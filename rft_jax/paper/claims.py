"""What the paper claims of accuracies, as pairs of two models: those that an experiment can show, or not."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from rft_jax.paper import published
from rft_jax.paper.cells import evaluation, rft_name, sft_name
from rft_jax.paper.preset import Preset
from rft_jax.paper.published import Row

Expected = Literal["better", "no better"] | None


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two models, of which a claim says that the second is better, or no better.

    Attributes:
        words: which two.
        first, second: their evaluations.
        expected: what the paper says of the second; None: it has no such experiment, or its own figures of these two
            models say otherwise.
    """

    words: str
    first: str
    second: str
    expected: Expected


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper, or a question that it leaves open; p-values are corrected within it."""

    words: str
    pairs: tuple[Pair, ...]


class _Model(NamedTuple):
    """A model: its name, and what the paper has of it, in percent."""

    name: str
    figure: float | None = None


def claims(size: Preset) -> Iterator[Claim]:
    """Yields the claims that the experiments of a size can test."""
    yield _claim("SFT beats in-context learning", "better", ((each, _icl(each), _sft(each)) for each in size.names))
    parts = (*reversed(size.fractions), 1)
    yield _claim(
        "More problems are better",
        "better",
        (
            (f"{each}, {_part(fewer)} to {_part(more)}", _sft(each, fewer), _sft(each, more))
            for each in size.fraction_models
            for fewer, more in itertools.pairwise(parts)
        ),
    )
    yield _claim(
        "As many steps on fewer problems are no better than as many epochs",
        "no better",
        (
            (f"{each}, {_part(part)}", _sft(each, part), _sft(each, part, steps=True))
            for each in size.fraction_models
            for part in size.fractions
        ),
    )
    yield _claim("RFT beats SFT", "better", ((each, _sft(each), _rft(each)) for each in size.students))
    longer = ((each, _sft(each), _rft(each, "steps")) for each in size.students)
    yield _claim("SFT for as many steps as RFT beats SFT", None, longer)
    yield _claim("RFT beats SFT for as many steps", None, _against_own(size.students, "steps"))
    drawn = ((each, _sft(each), _rft(each, "random")) for each in size.students)
    yield _claim("As many right paths at random beat SFT", None, drawn)
    yield _claim("Distinct paths beat as many at random", None, _against_own(size.students, "random"))
    yield _claim("The farthest path of a list beats the nearest", None, _against_own([size.base], "nearest"))
    yield _claim(
        f"k = {size.k} beats k = {size.ks[0]}",
        "better",
        ((each, _rft(each, f"k{size.ks[0]}"), _rft(each)) for each in size.curve_models),
    )
    yield _claim(
        "RFT at any k beats SFT",
        "better",
        ((f"{each}, k = {k}", _sft(each), _rft(each, f"k{k}")) for each in size.curve_models for k in size.ks),
    )
    yield _claim(
        "Every right path is no better than the distinct ones",
        "no better",
        ((each, _rft(each), _rft(each, "none")) for each in size.curve_models),
    )
    yield _claim(
        "A part of the right paths is as good as the distinct ones",
        None,
        (
            (f"{each}, {_part(part)}", _rft(each), _rft(each, f"none-1of{part}"))
            for each in size.curve_models
            for part in (2, 4)
        ),
    )
    yield _claim(
        "The paths of several models beat one's own",
        "better",
        (
            (f"{each}, {union.upper()}", _rft(each) if each in size.students else _sft(each), _rft(each, union))
            for each in size.union_students
            for union in ("u13b", "u33b")
        ),
    )
    hot = ((each, _rft(each), _rft(each, "hot")) for each in size.hot_models)
    yield _claim(f"T = {size.hot} beats T = {size.temperature}", None, hot)
    rounds = (
        (f"{size.base}, round {number}", _round(size, number - 1), _round(size, number)) for number in _later(size)
    )
    yield _claim("A round beats the one before", None, rounds)
    faithful = (
        (f"{size.base}, {words}", ours, _Model(f"{ours.name}-faithful"))
        for words, ours in (("SFT", _sft(size.base)), ("RFT", _rft(size.base)))
    )
    yield _claim("The reference's settings beat ours", None, faithful)


def _claim(words: str, expected: Expected, pairs: Iterable[tuple[str, _Model, _Model]]) -> Claim:
    return Claim(words, tuple(_pair(which, first, second, expected) for which, first, second in pairs))


def _pair(words: str, first: _Model, second: _Model, expected: Expected) -> Pair:
    if first.figure is not None and second.figure is not None:
        gains = second.figure > first.figure
        expected = expected if gains == (expected == "better") else None
    return Pair(words, evaluation(first.name), evaluation(second.name), expected)


def _icl(model: str) -> _Model:
    return _Model(model, published.ICL.get(model))


def _sft(model: str, part: int = 1, *, steps: bool = False) -> _Model:
    of_parts = published.SFT_AT_FRACTION_STEPS if steps else published.SFT_AT_FRACTION
    figures = published.SFT if part == 1 else of_parts.get(f"1/{part}", {})
    return _Model(sft_name(model, part, steps=steps), figures.get(model))


def _rft(model: str, variant: str = "") -> _Model:
    of_variants: dict[str, Row] = {
        "": published.RFT,
        "none": published.NO_DEDUP,
        "u13b": published.U13B,
        "u33b": published.U33B,
        **{f"k{k}": row for k, row in published.RFT_AT_K.items()},
    }
    return _Model(rft_name(model, variant), of_variants.get(variant, {}).get(model))


def _against_own(models: Iterable[str], variant: str) -> Iterator[tuple[str, _Model, _Model]]:
    """Yields RFT beside a variant of it."""
    yield from ((model, _rft(model, variant), _rft(model)) for model in models)


def _part(part: int) -> str:
    return "all" if part == 1 else f"1/{part}"


def _later(size: Preset) -> range:
    return range(2, size.rounds + 1)


def _round(size: Preset, number: int) -> _Model:
    return _rft(size.base, "" if number == 1 else f"round{number}")
