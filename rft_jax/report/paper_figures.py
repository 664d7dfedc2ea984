"""The paper's figures, from what was run: accuracy against data, k, pre-training loss, and what RFT adds."""

import statistics

from rft_jax.paper import published
from rft_jax.paper.cells import evaluation, rft_name, set_name, sft_name
from rft_jax.paper.preset import Preset
from rft_jax.report import figures as plots
from rft_jax.report import losses
from rft_jax.report.cell import accuracy, at_k
from rft_jax.report.collect import Workdir
from rft_jax.report.page import side_by_side
from rft_jax.report.paper_tables import preset_of

Points = dict[str, list[tuple[float, float]]]


def figures(run: Workdir) -> str:
    """Returns the figures for which there are at least two points."""
    size = preset_of(run)
    if size is None:
        return ""
    drawn = [
        *_losses(run, size),
        *_fractions(run, size),
        *_against_k(run, size),
        *_distinct(run, size),
        *_gains(run, size),
    ]
    return side_by_side(drawn)


def _mean(run: Workdir, model: str) -> float | None:
    found = accuracy(run, evaluation(model))
    return None if found is None else found["mean"]


def _fit(points: Points) -> Points:
    return {name: sorted(values) for name, values in points.items() if len(values) > 1}


def _losses(run: Workdir, size: Preset) -> list[tuple[str, str]]:
    measured = losses.read(run)
    points: Points = {}
    for model in size.names:
        for words, trained in (("ICL", model), ("SFT", sft_name(model)), ("RFT", rft_name(model))):
            mean, of_text = _mean(run, trained), measured.get(f"{model}-loss")
            if mean is not None and of_text is not None:
                points.setdefault(words, []).append((of_text["nats_per_token"]["mean"], mean))
    points = _fit(points)
    if not points:
        return []
    svg = plots.curves(
        "Accuracy against the loss on text", points, x="loss of the pre-trained model, nats per token", y="maj1@1",
        percent=True,
    )  # fmt: skip
    return [(svg, "Accuracy against the loss on held-out text: the paper finds a straight line in its models' losses.")]


def _fractions(run: Workdir, size: Preset) -> list[tuple[str, str]]:
    points: Points = {}
    for model in size.fraction_models:
        for part in (1, *size.fractions):
            for steps in (False, True):
                if (mean := _mean(run, sft_name(model, part, steps=steps and part > 1))) is not None:
                    words = f"{model}, constant {'steps' if steps else 'epochs'}"
                    points.setdefault(words, []).append((1 / part, mean))
    points = _fit(points)
    if not points:
        return []
    svg = plots.curves(
        "SFT accuracy against the fraction of the problems", points, x="fraction of the problems", y="maj1@1", log=True,
        percent=True,
    )  # fmt: skip
    return [(svg, "SFT on fractions of the problems. The paper finds a straight line in the logarithm.")]


def _against_k(run: Workdir, size: Preset) -> list[tuple[str, str]]:
    points: Points = {}
    for model in size.curve_models:
        for k in (*size.ks, size.k):
            if (mean := _mean(run, rft_name(model, "" if k == size.k else f"k{k}"))) is not None:
                points.setdefault(model, []).append((k, mean))
    points = _fit(points)
    if not points:
        return []
    svg = plots.curves("RFT accuracy against k", points, x="k", y="maj1@1", log=True, percent=True)
    return [(svg, "RFT on the paths selected from the first k samples.")]


def _distinct(run: Workdir, size: Preset) -> list[tuple[str, str]]:
    points: Points = {}
    for model in size.students:
        for k in (*size.ks, size.k):
            if found := at_k(run, set_name(model), k, "distinct_with_gold"):
                points.setdefault(model, []).append((k, statistics.mean(found)))
    points = _fit(points)
    if not points:
        return []
    paper: Points = {
        f"paper, {model}": [(k, row[model]) for k, row in published.DISTINCT_AT_K.items()]
        for model in published.DISTINCT_AT_K[1]
        if model in size.names
    }
    svg = plots.curves(
        "Distinct paths against k", points | paper, x="k", y="distinct paths per problem", log=True, dashed=list(paper)
    )
    return [(svg, "Distinct right paths per problem, with the gold one, which the paper seems to count.")]


def _gains(run: Workdir, size: Preset) -> list[tuple[str, str]]:
    names = {"RFT": "", "U13B": "u13b", "U33B": "u33b"}
    points: Points = {}
    for model in size.names:
        sft = _mean(run, sft_name(model))
        for words, variant in names.items():
            rft = _mean(run, rft_name(model, variant))
            if sft is not None and rft is not None:
                points.setdefault(words, []).append((100 * sft, 100 * (rft - sft)))
    points = _fit(points)
    if not points:
        return []
    svg = plots.curves("What RFT adds to SFT", points, x="maj1@1 after SFT, %", y="points added")
    return [(svg, "What RFT adds, against the accuracy after SFT: the paper finds that better models gain less.")]
