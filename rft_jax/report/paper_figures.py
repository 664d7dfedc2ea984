"""The paper's figures, from what was run: accuracy against data, k, pre-training loss, and what RFT adds."""

import statistics
from collections.abc import Iterator, Mapping

from rft_jax.paper import published
from rft_jax.paper.cells import evaluation, rft_name, set_name, sft_name
from rft_jax.paper.preset import Preset
from rft_jax.report import figures as plots
from rft_jax.report import losses
from rft_jax.report.cell import accuracy, at_k
from rft_jax.report.collect import Workdir
from rft_jax.report.page import side_by_side
from rft_jax.report.paper_tables import preset_of
from rft_jax.report.replicates import MEASURE

Point = tuple[str, float, float | None]  # of which curve, where, and how high; None: not run
Curves = dict[str, list[tuple[float, float]]]


def figures(run: Workdir) -> str:
    """Returns the figures for which there are at least two points."""
    size = preset_of(run)
    if size is None:
        return ""
    paper: Curves = {
        f"paper, {model}": [(k, row[model]) for k, row in published.DISTINCT_AT_K.items()]
        for model in published.DISTINCT_AT_K[1]
        if model in size.names
    }
    drawn = [
        *_drawn(
            _losses(run, size),
            "Accuracy against the loss",
            "Accuracy against the loss on held-out text: the paper finds a straight line in its models' losses.",
            x="loss of the pre-trained model, nats per token",
        ),
        *_drawn(
            _fractions(run, size),
            "SFT accuracy against the fraction of the problems",
            "SFT on fractions of the problems. The paper finds a straight line in the logarithm.",
            x="fraction of the problems",
            log=True,
        ),
        *_drawn(
            _against_k(run, size),
            "RFT accuracy against k",
            "RFT on the paths selected from the first k samples.",
            x="k",
            log=True,
        ),
        *_drawn(
            _distinct(run, size),
            "Distinct paths against k of RFT",
            "Distinct right paths per problem, with the gold one, which the paper seems to count.",
            x="k",
            y="distinct paths per problem",
            log=True,
            paper=paper,
        ),
        *_drawn(
            _gains(run, size),
            "What RFT adds to SFT",
            "What RFT adds, against the accuracy after SFT: the paper finds that better models gain less.",
            x="maj1@1 after SFT, %",
            y="points added",
        ),
    ]
    return side_by_side(drawn)


def _drawn(
    points: Iterator[Point],
    title: str,
    caption: str,
    *,
    x: str,
    y: str = MEASURE,
    log: bool = False,
    paper: Mapping[str, list[tuple[float, float]]] | None = None,
) -> list[tuple[str, str]]:
    """Returns plots of the curves that have at least two points, each with its caption."""
    found: Curves = {}
    for name, where, height in points:
        if height is not None:
            found.setdefault(name, []).append((where, height))
    ours = {name: sorted(values) for name, values in found.items() if len(values) > 1}
    shown = ours | dict(paper or {}) if ours else {}
    made = plots.curves(title, shown, x=x, y=y, log=log, percent=y == MEASURE, dashed=list(paper or {}) if ours else [])
    return [(svg, caption) for svg in made]


def _mean(run: Workdir, model: str) -> float | None:
    found = accuracy(run, evaluation(model))
    return None if found is None else found["mean"]


def _losses(run: Workdir, size: Preset) -> Iterator[Point]:
    measured = losses.read(run)
    for model in size.names:
        if found := measured.get(f"{model}-loss"):
            for words, trained in (("ICL", model), ("SFT", sft_name(model)), ("RFT", rft_name(model))):
                yield words, found["nats_per_token"]["mean"], _mean(run, trained)


def _fractions(run: Workdir, size: Preset) -> Iterator[Point]:
    for model in size.fraction_models:
        for part in (1, *size.fractions):
            for steps in (False, True):
                words = f"{model}, constant {'steps' if steps else 'epochs'}"
                yield words, 1 / part, _mean(run, sft_name(model, part, steps=steps and part > 1))


def _against_k(run: Workdir, size: Preset) -> Iterator[Point]:
    for model in size.curve_models:
        for k in (*size.ks, size.k):
            yield model, k, _mean(run, rft_name(model, "" if k == size.k else f"k{k}"))


def _distinct(run: Workdir, size: Preset) -> Iterator[Point]:
    for model in size.students:
        for k in (*size.ks, size.k):
            found = at_k(run, set_name(model), k, "distinct_with_gold")
            yield model, k, statistics.mean(found) if found else None


def _gains(run: Workdir, size: Preset) -> Iterator[Point]:
    for model in size.names:
        if (sft := _mean(run, sft_name(model))) is not None:
            for words, variant in (("RFT", ""), ("U13B", "u13b"), ("U33B", "u33b")):
                rft = _mean(run, rft_name(model, variant))
                yield words, 100 * sft, None if rft is None else 100 * (rft - sft)
