"""Plots as inline SVG. Lines and text take the page's colours, so they are readable in light and dark mode."""

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import cycler
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

_INK = "#010203"  # replaced by the page's text colour in the finished SVG
# Readable on white and on near-black.
COLOURS = ("#3b7dd8", "#d9722e", "#2f9e74", "#b35cc4", "#b08d14", "#4aa3c4", "#d1495b", "#808890")
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "rft_jax", "font.family": "sans-serif", "font.size": 9,
    "axes.edgecolor": _INK, "axes.labelcolor": _INK, "text.color": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": _INK, "grid.alpha": 0.13,
    "grid.linewidth": 0.6, "legend.frameon": False, "figure.facecolor": "none", "axes.facecolor": "none",
    "lines.linewidth": 1.6, "lines.markersize": 4, "axes.prop_cycle": cycler.cycler(color=COLOURS),
}  # fmt: skip


def draw(title: str, plot: Callable[[Axes], None], height: float = 3.0) -> str:
    """Returns one plot as an SVG element.

    Args:
        title: what it shows, for screen readers.
        plot: draws on the axes.
        height: in inches; the width is 6.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6, height), layout="constrained")
        axes = figure.subplots()
        plot(axes)
        if axes.get_legend_handles_labels()[1]:
            axes.legend()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    # Without a fixed width and height it fits any window; ids must be unique, as plots share a page.
    svg = re.sub(r'<svg ([^>]*?)\bwidth="[^"]*"', r"<svg \1", svg, count=1)
    svg = re.sub(r'<svg ([^>]*?)\bheight="[^"]*"', r"<svg \1", svg, count=1)
    name = re.sub(r"\W+", "-", title)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def curves(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    log: bool = False,
    percent: bool = False,
    dashed: Sequence[str] = (),
    markers: bool = True,
) -> list[str]:
    """Returns a line plot, or several where one has too few colours; `dashed` names the series of all, not ours."""

    def plot(axes: Axes, some: Sequence[str]) -> None:
        for name in some:
            style = "--" if name in dashed else "-"
            axes.plot(*zip(*series[name], strict=True), style, marker="o" if markers else None, label=name)
        ticks = sorted({point[0] for name in some for point in series[name]})
        if log:
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [str(Fraction(tick).limit_denominator(99)) for tick in ticks])
            axes.minorticks_off()
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=all(float(tick).is_integer() for tick in ticks)))
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel(x)
        axes.set_ylabel(y)

    own = [name for name in series if name not in dashed]
    most = max(1, len(COLOURS) - len(dashed))
    parts = [[*own[start : start + most], *dashed] for start in range(0, len(own), most)]
    titles = [title if number == 0 else f"{title}, part {number + 1}" for number in range(len(parts))]
    return [draw(name, functools.partial(plot, some=some)) for name, some in zip(titles, parts, strict=True)]


def intervals(title: str, rows: Mapping[str, tuple[float, float, float]], *, x: str) -> str:
    """Returns a plot of shares with their intervals, one per line from top to bottom."""

    def plot(axes: Axes) -> None:
        for line, (mean, low, high) in enumerate(rows.values()):
            axes.errorbar(mean, -line, xerr=[[mean - low], [high - mean]], fmt="o", capsize=3, color=COLOURS[0])
            axes.annotate(f"{100 * mean:.1f}", (mean, -line), (0, 6), textcoords="offset points", ha="center")
        axes.set_yticks([-line for line in range(len(rows))], list(rows))
        axes.set_ylim(-len(rows) + 0.4, 0.7)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel(x)

    return draw(title, plot, height=0.9 + 0.42 * len(rows))


def bars(title: str, groups: Sequence[str], series: Mapping[str, Sequence[float]], *, x: str) -> str:
    """Returns a plot of horizontal bars: a line per group, with a bar per series."""

    def plot(axes: Axes) -> None:
        thick = 0.8 / len(series)
        for number, (name, values) in enumerate(series.items()):
            heights = [-line - (number - (len(series) - 1) / 2) * thick for line in range(len(groups))]
            drawn = axes.barh(heights, values, thick * 0.92, label=name if len(series) > 1 else None)
            axes.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
        axes.set_yticks([-line for line in range(len(groups))], list(groups))
        axes.margins(x=0.12)
        axes.set_xlabel(x)

    return draw(title, plot, height=0.9 + len(groups) * (0.25 + 0.2 * len(series)))


def histogram(title: str, series: Mapping[str, Mapping[int, int]], *, x: str, y: str) -> str:
    """Returns a histogram of shares in 40 bins; each series maps a whole number to its count."""

    def plot(axes: Axes) -> None:
        top = max(number for counts in series.values() for number in counts) + 1
        edges = [top * edge / 40 for edge in range(41)]
        for name, counts in series.items():
            total = sum(counts.values())
            weights = [count / total for count in counts.values()]
            axes.hist(list(counts), bins=edges, weights=weights, histtype="step", linewidth=1.5, label=name)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel(x)
        axes.set_ylabel(y)

    return draw(title, plot)
