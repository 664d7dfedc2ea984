"""A page on a replay: policies of a budget beside each other."""

from collections.abc import Mapping
from typing import Any

from rft_jax.report import figures
from rft_jax.report.page import escape, page, paragraph, side_by_side, table

_HEAD = (
    "budget", "samples", "tokens", "of all", "right paths", "distinct", "of all", "uniform*", "never solved",
    "uniform*", "pass@1",
)  # fmt: skip
_CURVES = {
    "distinct": ("Distinct right paths", "per problem", True),
    "right": ("Right paths", "per problem", True),
    "never_solved": ("Problems never solved", "problems", False),
}


def html(result: Mapping[str, Any]) -> str:
    """Returns the HTML of a page on what `budget.replay` returned."""
    ledger = result["ledger"]
    rows = [
        (
            each["budget"], f"{each['samples']:,}", f"{each['tokens']:,}", _percent(each["share"]["tokens"]),
            f"{each['right']:,}", f"{each['distinct']:,}", _percent(each["share"]["distinct"]),
            f"{each['uniform']['distinct']:,.0f}", f"{each['never_solved']:,}",
            f"{each['uniform']['never_solved']:,.0f}", _percent(each["pass_at_k"]["1"]),
        )
        for each in result["policies"]
    ]  # fmt: skip
    always = ", ".join(f"{each['always']} of {each['budget']}" for each in result["policies"])
    notes = paragraph("* By uniform sampling of as many tokens.") + paragraph(
        f"pass@1 is from the first samples of each problem, which it gets whatever they show: {always}. Where sampling "
        "stops by what was found, more samples give biased estimates."
    )
    return page(
        "Budgets replayed",
        f"{ledger['problems']:,} problems, {ledger['k']} samples each, by {ledger['model']}; grader {ledger['grader']}",
        [
            ("Policies", table(_HEAD, rows) + notes),
            ("Against the tokens", side_by_side([plot for measure in _CURVES for plot in _curve(result, measure)])),
        ],
    )


def _curve(result: Mapping[str, Any], measure: str) -> list[tuple[str, str]]:
    title, y, per_problem = _CURVES[measure]
    problems = result["ledger"]["problems"]
    series: dict[str, list[tuple[float, float]]] = {}
    for each in result["policies"]:
        name = each["budget"].partition("=")[0].partition(":")[0]
        name = each["budget"] if name in series else name
        series[escape(name)] = [
            (point["tokens"] / problems, point[measure] / (problems if per_problem else 1)) for point in each["curve"]
        ]
    made = figures.curves(title, series, x="tokens per problem", y=y)
    return [(svg, f"{title}, by budgets of each policy.") for svg in made]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
