"""The rounds that were checked: their figures beside each other, and what the rule says of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from rft_jax.evidence.intervals import percent
from rft_jax.report import figures
from rft_jax.report.collect import Workdir
from rft_jax.report.page import paragraph, side_by_side, table
from rft_jax.report.replicates import MEASURE
from rft_jax.rounds import record, show
from rft_jax.rounds.figures import DISTINCT, ENTROPY, NAMES, PASS_1, PASS_K
from rft_jax.rounds.record import Record, Round
from rft_jax.select.statistics import aligned, printable

_DRAWN = (PASS_1, PASS_K, DISTINCT, ENTROPY)


def section(run: Workdir) -> str:
    """Returns a table for each series of rounds, what is skipped and why, and a plot of what changes."""
    found = _series(run)
    if not found:
        return ""
    intro = paragraph(
        "What the paths of each round show, before anything is trained on them, with 95 % intervals over the problems "
        "that they were sampled for, for this one seed. Entropy is in nats, at the temperature of the samples. "
        f"Beside it {MEASURE} of the model that sampled, on the held-out problems."
    )
    parts = [_table(run, each) + _verdicts(run, name, each) for name, each in found.items()]
    drawn = [
        (_plot(run, each, number), f"Each figure as a share of the first round's, up to {name}.")
        for number, (name, each) in enumerate(found.items(), start=1)
        if len(each.rounds) > 1
    ]
    return intro + "".join(parts) + side_by_side(drawn)


def in_text(run: Workdir) -> str:
    """Returns each series of rounds for the terminal, without the intervals, and what the rule says; "" for none."""
    parts = []
    for found in _series(run).values():
        rows = [["round", "by", *show.titles(found.asked.k), "verdict"]]
        rows += [
            [
                str(each.number), printable(each.model),
                *(show.cell(name, each.figures[name]).partition(" ")[0] for name in NAMES), _word(each),
            ]
            for each in found.rounds
        ]  # fmt: skip
        parts.append("\n".join([aligned(rows), *(show.verdict(each) for each in found.rounds if each.stop)]))
    return "\n\n".join(parts)


def _series(run: Workdir) -> dict[str, Record]:
    """Returns the last record of each series of rounds, by its stage, in the order of the plan, else by name."""
    order = [stage["name"] for stage in run.plan.get("stages", ())]
    there = sorted(file.parent.name for file in run.folder.glob(f"*/{record.FILE}"))
    names = [name for name in order if name in there] + [name for name in there if name not in order]
    records = {name: record.read(run.folder / name / record.FILE) for name in names}
    earlier = [each.rounds[:-1] for each in records.values()]
    return {
        name: each
        for name, each in records.items()
        if not any(each.rounds == longer[: len(each.rounds)] for longer in earlier)
    }


def _table(run: Workdir, found: Record) -> str:
    asked = found.asked
    told = paragraph(f"{asked.problems:,} problems, {asked.k} samples each, graded by {asked.grader}.")
    rows = [
        [f"{each.number}, by {each.model}", _word(each), *show.cells(each), percent(_accuracy(run, each.model))]
        for each in found.rounds
    ]
    return told + table(["round", "verdict", *show.titles(asked.k), f"{MEASURE}, %"], rows)


def _word(found: Round) -> str:
    """Returns the verdict in a word or two; the reasons stand below the table."""
    if found.since_previous is None:
        return "–"
    return "collapse" if found.collapse else "no gain" if found.stop else "go on"


def _verdicts(run: Workdir, name: str, found: Record) -> str:
    lines = [show.verdict(each) for each in found.rounds if each.stop]
    if note := found.rounds[-1].entropy_note:
        lines.append(f"No entropy: {note}.")
    if skipped := _skipped(run, name) if found.stop else []:
        lines.append(f"Skipped for that reason: {', '.join(skipped)}.")
    return "".join(map(paragraph, lines))


def _skipped(run: Workdir, check: str) -> list[str]:
    """Returns the stages of the plan that a check skips, and those that depend on them."""
    found: list[str] = []
    for stage in run.plan.get("stages", ()):
        if check in stage.get("unless", ()) or set(_named(stage)) & set(found):
            found.append(stage["name"])
    return found


def _named(stage: Mapping[str, Any]) -> Iterator[str]:
    """Yields what a stage of the plan names in its fields, files of stages by their makers."""
    for field, value in stage.items():
        if field not in ("name", "kind", "base"):
            values = value if isinstance(value, list) else [value]
            yield from (each.partition("/")[0] for each in values if isinstance(each, str))


def _accuracy(run: Workdir, model: str) -> dict[str, float] | None:
    """Returns the accuracy of a model on the first held-out problems on which it was evaluated."""
    return next((each.measures.get(MEASURE) for each in run.evaluations if each.metrics["name"] == model), None)


def _plot(run: Workdir, found: Record, number: int) -> str:
    titles = dict(zip(NAMES, show.titles(found.asked.k), strict=True))
    heights: dict[str, list[float | None]] = {}
    for name in _DRAWN:
        shown = (each.figures[name] for each in found.rounds)
        heights[titles[name].removesuffix(", %")] = [None if each is None else each.mean for each in shown]
    accuracies = (_accuracy(run, each.model) for each in found.rounds)
    heights[f"{MEASURE}, held out"] = [None if each is None else each["mean"] for each in accuracies]
    series = {
        name: [(place, height / values[0]) for place, height in enumerate(values, start=1) if height is not None]
        for name, values in heights.items()
        if values[0]
    }
    drawn = {name: points for name, points in series.items() if len(points) > 1}
    title = f"Rounds against the first{'' if number == 1 else f', series {number}'}"
    return figures.curves(title, drawn, x="round", y="share of the first round's", percent=True)[0]
