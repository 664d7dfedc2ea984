"""The paper's tables 1, 2, 4 and 5, filled from what was run; a cell that was not run stays empty.

The paper's own values stand beneath, where model and setting are the paper's (`rft_jax/paper/published.py`).
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from rft_jax.paper import published
from rft_jax.paper.cells import evaluation, rft_name, set_name, sft_name
from rft_jax.paper.experiment import changed
from rft_jax.paper.preset import FULL, PRESETS, Preset, load
from rft_jax.report import losses
from rft_jax.report.cell import MEASURE, at_k, seconds, selections, shown, spread
from rft_jax.report.collect import Workdir
from rft_jax.report.page import paragraph, table

Row = list[str]
_PAPER = "paper"


def tables(run: Workdir) -> str:
    """Returns the tables; nothing for a workdir without experiments of the paper."""
    size = preset_of(run)
    if size is None:
        return ""
    other = "" if size.name in PRESETS else f" These are of size {size.name}: no value of the paper belongs to them."
    intro = paragraph(
        "Percent of the test problems, with 95 % intervals over seeds and problems; “± x” is the standard deviation "
        "over seeds. An empty cell was not run. The paper's value stands beneath where model and setting are the same."
        + other
    )
    made = (("1", _table_1), ("2", _table_2), ("4", _table_4), ("5", _table_5))
    parts = []
    for name, rows in made:
        every = list(rows(run, size))
        if any(any(row[1:]) and not row[0].startswith(_PAPER) for row in every):
            parts.append(f"<h3>Table {name}</h3>" + table(["", *size.names], every))
    return intro + "".join(parts) if parts else ""


def preset_of(run: Workdir) -> Preset | None:
    """Returns the size of the workdir's experiments, with the run's own k and temperature; None without experiments.

    A run with settings of its own has another name, so that nothing of the paper's stands beside it.
    """
    named = run.plan.get("experiments") or ()
    if not named:
        return None
    size = load(named[0]["size"])
    train, test = published.PROBLEMS
    of_gsm8k = len(run.problems or ()) == train and {each.metrics["count"] for each in run.evaluations} <= {test}
    if different := changed(size, run.plan, of_gsm8k=of_gsm8k):
        k, temperature = int(run.plan["k"]), float(run.plan["temperature"])
        ks = tuple(each for each in size.ks if each < k)
        return dataclasses.replace(
            size, name=f"{size.name}, but {', '.join(different)}", k=k, ks=ks, temperature=temperature
        )
    return size


def _row(
    name: str, size: Preset, cell: Callable[[str], str], paper: Mapping[str, float] | None = None
) -> Iterator[Row]:
    """Yields a row, and beneath it the paper's values of these models."""
    yield [name, *(cell(model) for model in size.names)]
    paper = paper if paper and size.name == FULL.name else {}
    values = [f"{paper[model]:g}" if model in paper else "" for model in size.names]
    if any(values):
        yield [_PAPER, *values]


def _accuracy(run: Workdir, name: Callable[[str], str], measure: str = MEASURE) -> Callable[[str], str]:
    return lambda model: shown(run, evaluation(name(model)), measure)


def _table_1(run: Workdir, size: Preset) -> Iterator[Row]:
    votes = f"maj1@{size.votes}"
    shots = f", {size.shots} shots" if size.shots else ""
    yield from _row("loss on held-out text", size, lambda model: _loss(run, model))
    yield from _row(f"ICL{shots}", size, _accuracy(run, str), published.ICL)
    yield from _row(f"ICL{shots}, {votes}", size, _accuracy(run, str, votes), published.ICL_VOTES)
    yield from _row("SFT", size, _accuracy(run, sft_name), published.SFT)
    yield from _row(f"SFT, {votes}", size, _accuracy(run, sft_name, votes), published.SFT_VOTES)
    yield from _row(f"RFT, k = {size.k}", size, _accuracy(run, rft_name), published.RFT)
    yield from _row(f"RFT, {votes}", size, _accuracy(run, rft_name, votes), published.RFT_VOTES)
    yield from _row("control: SFT, RFT's steps", size, _accuracy(run, lambda model: f"{rft_name(model)}-steps"))
    yield from _row("control: as many at random", size, _accuracy(run, lambda model: f"{rft_name(model)}-random"))
    for name, greedy, voted in (
        ("u13b", published.U13B, published.U13B_VOTES),
        ("u33b", published.U33B, published.U33B_VOTES),
    ):
        trained = _variant(name)
        yield from _row(f"RFT-{name.upper()}", size, _accuracy(run, trained), greedy)
        yield from _row(f"RFT-{name.upper()}, {votes}", size, _accuracy(run, trained, votes), voted)
    every = f"right paths, % of {size.k}"
    yield from _row(every, size, _right(run, _own_set(), size), published.RIGHT_OF_100)
    distinct = _paths(run, _own_set(), size.k, "distinct_with_gold")
    yield from _row("distinct paths per problem, with gold", size, distinct, published.DISTINCT_AT_K[100])


def _table_2(run: Workdir, size: Preset) -> Iterator[Row]:
    for k in (*size.ks, size.k):
        trained = _variant("" if k == size.k else f"k{k}")
        yield from _row(f"k = {k}: RFT", size, _accuracy(run, trained), published.RFT_AT_K.get(k))
        yield from _row(f"k = {k}: distinct paths", size, _paths(run, _own_set(), k, "distinct"))
        with_gold = _paths(run, _own_set(), k, "distinct_with_gold")
        yield from _row(f"k = {k}: the same, with gold", size, with_gold, published.DISTINCT_AT_K.get(k))


def _table_4(run: Workdir, size: Preset) -> Iterator[Row]:
    def hours(name: Callable[[str], str]) -> Callable[[str], str]:
        return lambda model: spread([each / 3600 for each in seconds(run, name(model))], 3)

    yield from _row("hours of SFT", size, hours(sft_name))
    yield from _row("hours of sampling", size, hours(lambda model: f"{model}-paths"))
    yield from _row("hours of RFT", size, hours(rft_name))
    if size.name == FULL.name:
        yield from _row(f"{_PAPER}: device hours of SFT", size, lambda model: f"{published.SFT_HOURS[model]:g}")
        yield from _row(
            f"{_PAPER}: device hours of sampling", size, lambda model: f"{published.SAMPLING_HOURS[model]:g}"
        )


def _table_5(run: Workdir, size: Preset) -> Iterator[Row]:
    for steps, values in ((False, published.SFT_AT_FRACTION), (True, published.SFT_AT_FRACTION_STEPS)):
        for part in size.fractions:
            words = f"SFT on 1/{part}, constant {'steps' if steps else 'epochs'}"
            yield from _row(words, size, _accuracy(run, _sft(part, steps)), values.get(f"1/{part}"))
    yield from _row("RFT without dedup", size, _accuracy(run, _variant("none")), published.NO_DEDUP)
    yield from _row("RFT without dedup, on 1/2", size, _accuracy(run, _variant("none-1of2")))
    yield from _row("RFT without dedup, on 1/4", size, _accuracy(run, _variant("none-1of4")))
    yield from _row("RFT, the nearest of each list", size, _accuracy(run, _variant("nearest")))
    yield from _row(f"RFT, T = {size.hot}", size, _accuracy(run, _variant("hot")))
    hot = _own_set("hot")
    yield from _row(f"T = {size.hot}: right paths, %", size, _right(run, hot, size), {"33B": published.HOT_RIGHT})
    distinct = _paths(run, hot, size.k, "distinct_with_gold")
    yield from _row(f"T = {size.hot}: distinct paths, with gold", size, distinct, {"33B": published.HOT_DISTINCT})
    for number in range(2, size.rounds + 1):
        yield from _row(f"RFT, round {number}", size, _accuracy(run, _variant(f"round{number}")))
    for name, published_distinct in published.DISTINCT_OF_UNION.items():
        found = [_distinct(each.statistics) for each in selections(run, f"{name.lower()}-set")]
        if found:
            text = spread(found) + (f" (paper: {published_distinct})" if size.name == FULL.name else "")
            yield [f"{name}: distinct paths per problem", text, *[""] * (len(size.names) - 1)]
    for trained, words in ((sft_name, "SFT"), (rft_name, "RFT")):
        yield from _row(f"{words}: distinct paths of test problems", size, _of_test(run, trained))


def _variant(name: str) -> Callable[[str], str]:
    return lambda model: rft_name(model, name)


def _sft(part: int, steps: bool) -> Callable[[str], str]:
    return lambda model: sft_name(model, part, steps=steps)


def _own_set(variant: str = "") -> Callable[[str], str]:
    return lambda model: set_name(model, variant)


def _paths(run: Workdir, name: Callable[[str], str], k: int, field: str) -> Callable[[str], str]:
    return lambda model: spread(at_k(run, name(model), k, field))


def _right(run: Workdir, name: Callable[[str], str], size: Preset) -> Callable[[str], str]:
    return lambda model: spread([100 * each / size.k for each in at_k(run, name(model), size.k, "correct")], 1)


def _of_test(run: Workdir, trained: Callable[[str], str]) -> Callable[[str], str]:
    return lambda model: spread([_distinct(each.statistics) for each in selections(run, f"{trained(model)}-test-set")])


def _distinct(statistics: Mapping[str, Mapping[str, float]]) -> float:
    """Returns the distinct right paths per problem, the gold path not counted."""
    return statistics["united"]["distinct"] / statistics["united"]["problems"]


def _loss(run: Workdir, model: str) -> str:
    """Returns the measured loss of a model that was only pre-trained, in nats per token."""
    measured = losses.read(run).get(f"{model}-loss")
    return "" if measured is None else losses.cell(measured["nats_per_token"])
