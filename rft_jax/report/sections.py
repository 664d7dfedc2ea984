"""The sections of the report: each takes the workdir and returns HTML, or "" if there is nothing to show."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rft_jax.config import GOLD
from rft_jax.data.fraction import in_use
from rft_jax.evidence.intervals import percent
from rft_jax.records.lines import read_objects, with_infix
from rft_jax.records.problem import Problem
from rft_jax.report import figures, paper
from rft_jax.report.collect import Selection, Training, Workdir, criteria_of
from rft_jax.report.kinds import NOT_PLANNED, fraction_of, is_alike, paper_figure
from rft_jax.report.page import escape, fold, paragraph, side_by_side, table
from rft_jax.report.replicates import MEASURE, base_of, replicates, seed_of
from rft_jax.report.verdicts import Verdict, judge
from rft_jax.select import rules
from rft_jax.select.statistics import COLUMNS, RARE

_PROBLEMS, _REJECTED = 20, 8


def results(run: Workdir) -> str:
    """Returns the accuracies beside the paper's, over all seeds where there are several, and a plot of them."""
    if not run.evaluations:
        return ""
    measures = list(dict.fromkeys(name for each in run.evaluations for name in each.measures))
    graders = dict.fromkeys(each.grader for each in run.evaluations)
    audits = [
        name
        for name in dict.fromkeys(name for each in run.evaluations for name in each.metrics["graders"])
        if any(each.grader != name for each in run.evaluations)
    ]
    rows, by_seed, marks = [], [], {}
    for group in replicates(run):
        metrics = group.first.metrics
        rows_of, steps = training_of(run, metrics["name"])
        figure = paper_figure(run, group.first)
        left_over = run.plan and not run.stage(group.first.name)
        rows.append(
            [
                f"{group.model} ({NOT_PLANNED})" if left_over else group.model, rows_of, steps,
                *(group.told(group.first.grader, measure) for measure in measures),
                *(group.told(name, MEASURE) for name in audits),
                f"{figure[1]} ({figure[0]})" if figure else "–",
            ]
        )  # fmt: skip
        if estimate := group.estimate(group.first.grader, MEASURE):
            marks[group.model] = (estimate["mean"], estimate["low"], estimate["high"])
        if len(group.evaluations) > 1:
            figures_of = {seed_of(run, each): percent(each.measures[MEASURE]) for each in group.evaluations}
            by_seed.append([group.model, *(figures_of.get(seed, "–") for seed in range(group.planned))])
    count = run.evaluations[0].metrics["count"]
    over = ", of models with several seeds over seeds and problems" if by_seed else ""
    intro = paragraph(
        f"Percent of {count:,} held-out problems, with 95 % intervals{over}. Graded by {' or '.join(graders)}; audited "
        f"by {', '.join(audits) or 'none'}. The paper's column is for Llama 2 7B on GSM8K, where the setting is the "
        "paper's; another model on other problems: compare the order and size of the differences, not the values."
    )
    head = ["model", "training rows", "steps", *measures, *(f"{MEASURE}, {name}" for name in audits), "paper"]
    plot = side_by_side(
        [(figures.intervals("Accuracy with its interval", marks, x=MEASURE), f"{MEASURE} with its 95 % interval.")]
    )
    first = int(run.plan.get("seed", 0))
    seeds = [f"seed {first + number}" for number in range(max(map(len, by_seed), default=1) - 1)]
    each_seed = fold("Seed by seed", "over problems alone", table([MEASURE, *seeds], by_seed)) if by_seed else ""
    return intro + table(head, rows) + each_seed + plot


def funnel(run: Workdir) -> str:
    """Returns how many samples are left after each condition of each selection."""
    every = [(each, model, counts) for each in run.selections for model, counts in _funnels(each)]
    names = [name for name in COLUMNS[1:] if name not in RARE or any(counts.get(name) for *_, counts in every)]
    rows = [
        [each.name, model, *(f"{counts[name]:,}" if name in counts else "–" for name in names), f"{_rows_of(each):,}"]
        for each, model, counts in every
    ]
    shown = _widest(run.training_sets)
    if shown is None:
        return ""
    counts = shown.statistics["united"]
    words = [name.replace("_", " ") for name in names]
    drawn = figures.bars(
        "From samples to selected", words, {"paths": [counts.get(name, 0) for name in names]}, x="paths"
    )
    head = ["selection", "model", *words, "training rows"]
    intro = paragraph(
        "A path is parsed if the grader reads an answer in it, and correct if that is the gold answer. Paths with the "
        "same list of equations count once as distinct; as distinct canonical, lists that differ only in commuted "
        "operands or in the order of independent steps count once. Training rows include one gold row per problem."
    )
    return intro + table(head, rows) + side_by_side([(drawn, f"{shown.name}, all models together.")])


def against_k(run: Workdir) -> str:
    """Returns plots of accuracy and distinct paths against k, where there are several k."""
    drawn = []
    for problems, part in run.by_problems():
        points: dict[str, list[tuple[float, float]]] = {}
        for each in part.evaluations:
            stage = run.stage(each.metrics["name"])
            data = run.stage(stage.get("data", ""))
            fit = data and data["rules"] != rules.NONE and len(data["paths"]) == 1 and run.stage(each.name)
            if fit and _is_whole(run, stage) and (k := stage["k"] or _samples(run, data["paths"][0])):
                curve = ", from ".join(base_of(run, name) for name in (data["name"], stage["model"]))
                points.setdefault(curve, []).append((k, each.measures[MEASURE]["mean"]))
        points = {name: means for name, values in points.items() if len(means := _means(values)) > 1}
        if points:
            title = f"Accuracy against k{f' on {problems}' if problems else ''}"
            made = figures.curves(title, points, x="k, samples per problem", y=MEASURE, log=True, percent=True)
            drawn += [(svg, "Accuracy after training on what a selection has of the first k samples.") for svg in made]
    distinct: dict[str, list[tuple[float, float]]] = {}
    for selection in run.training_sets:
        if rules.repeats_lists(selection.statistics["rules"]):
            continue
        for model, counts in _funnels(selection):
            distinct[model] = [(int(k), values["distinct"]) for k, values in counts["at_k"].items()]
    if distinct:
        most = max(k for values in distinct.values() for k, _ in values)
        shown = distinct | {
            "paper, 7B-2": [(k, paths) for k, paths in paper.DISTINCT_AT_K.items() if k <= max(most, 6)]
        }
        made = figures.curves(
            "Distinct paths against k", shown, x="k, samples per problem and model", y="distinct paths per problem",
            log=True, dashed=["paper, 7B-2"],
        )  # fmt: skip
        caption = "Distinct right paths per problem. The paper's figure seems to include the gold path."
        drawn += [(svg, caption) for svg in made]
    return side_by_side(drawn)


def against_fraction(run: Workdir) -> str:
    """Returns a plot of accuracy against the fraction of the data, a curve for each start with several."""
    points: dict[str, list[tuple[float, float]]] = {}
    for each in run.evaluations:
        stage = run.stage(each.metrics["name"])
        fit = stage.get("data") == GOLD and not stage["steps_of"] and is_alike(run, stage) and run.stage(each.name)
        if fit:
            curve = points.setdefault(base_of(run, stage["model"]), [])
            curve.append((float(fraction_of(run, stage)), each.measures[MEASURE]["mean"]))
    series = {name: means for name, values in points.items() if len(means := _means(values)) > 1}
    if not series:
        return ""
    series["paper, 7B-2"] = [(x, y / 100) for x, y in paper.ACCURACY_AT_FRACTION.items()]
    made = figures.curves(
        "Accuracy against the fraction of the data", series, x="fraction of the training problems", y=MEASURE, log=True,
        percent=True, dashed=["paper, 7B-2"],
    )  # fmt: skip
    return side_by_side([(svg, "SFT on a fraction of the training problems.") for svg in made])


def provenance(run: Workdir) -> str:
    """Returns which models found the paths of each selection that unites several models'."""
    unions = [each for each in run.training_sets if len(each.statistics["models"]) > 1]
    return "".join(_provenance_of(run, each) for each in unions if not rules.repeats_lists(each.statistics["rules"]))


def _provenance_of(run: Workdir, union: Selection) -> str:
    named = base_of(run, union.name)
    if (replicate := run.stage(union.name).get("replicate")) is not None:
        named += f", seed {int(run.plan.get('seed', 0)) + replicate}"
    found = union.statistics["found_by"][:10]
    names = [" + ".join(entry["models"]) for entry in found]
    svg = figures.bars(
        f"Who found the paths of {union.name}",
        names,
        {"paths": [entry["distinct"] for entry in found]},
        x="distinct paths",
    )
    rows = [[name, f"{entry['distinct']:,}", f"{entry['share']:.1%}"] for name, entry in zip(names, found, strict=True)]
    head = [f"{named}: found by", "distinct paths", "share"]
    return table(head, rows) + side_by_side([(svg, f"Paths in {named}.")])


def training(run: Workdir) -> str:
    """Returns the loss curves of the first seed."""
    first: dict[str, Training] = {}
    for each in run.trainings:
        if each.losses:
            first.setdefault(base_of(run, each.name), each)
    smooth = {name: _smooth(each.losses) for name, each in first.items()}
    made = figures.curves("Training loss", smooth, x="step", y="loss, nats per token", markers=False)
    caption = "Mean loss per response token, of the first seed; each point averages up to 1/50 of the steps."
    return side_by_side([(svg, caption) for svg in made])


def lengths(run: Workdir) -> str:
    """Returns the lengths of the sampled responses, right and wrong ones separately, and how many were cut."""
    drawn = []
    grader = criteria_of(run.training_sets[0] if run.training_sets else None).load_graders()[0]
    for each in run.samplings:
        problems = run.problems_of(each.name)
        if problems is None:
            continue
        gold = [grader.parse(problem.response) for problem in problems]
        counts: dict[str, Counter[int]] = {"right": Counter(), "wrong": Counter()}
        cut = total = 0
        for path in each.paths():
            if path.tokens is None or path.problem >= len(gold):
                continue
            answer, known = grader.parse(path.response), gold[path.problem]
            right = answer is not None and known is not None and grader.equal_in_selection(answer, known)
            counts["right" if right else "wrong"][path.tokens] += 1
            cut, total = cut + (path.finish == "length"), total + 1
        shown = {name: found for name, found in counts.items() if found}
        if shown:
            svg = figures.histogram(f"Lengths of {each.name}", shown, x="tokens", y="share of each kind")
            drawn.append((svg, f"{each.name}: {total:,} responses, {cut / total:.1%} cut at the length limit."))
    return side_by_side(drawn)


def browse(run: Workdir) -> str:
    """Returns twenty problems with their kept and rejected paths and the reasons."""
    selection = _widest(run.training_sets)
    problems = None if selection is None else run.problems_of(selection.name)
    if selection is None or problems is None or not selection.file.is_file():
        return ""
    stage = run.stage(selection.name)
    used = [each for each in run.samplings if not stage or each.name in stage["paths"]]
    count = min(_PROBLEMS, len(problems))
    chosen = [number * len(problems) // count for number in range(count)]
    paths: dict[int, list[Any]] = {number: [] for number in chosen}
    for sampling in used:
        for path in sampling.paths():
            if path.problem in paths:
                paths[path.problem].append(path)
    selected: dict[int, list[str]] = {number: [] for number in chosen}
    for _, row in read_objects(selection.file):
        if row.get("problem") in selected and "sample" in row:
            selected[row["problem"]].append(row["response"])
    criteria = criteria_of(selection)
    grader, equations = criteria.load_graders()[0], criteria.load_equations()
    stops = criteria.load_task().template.stops
    distinct = not rules.repeats_lists(selection.statistics["rules"])
    verdicts = {
        n: judge(problems[n], paths[n], selected[n], grader, equations, stops, distinct=distinct) for n in chosen
    }
    return "".join(_one_problem(n, problems[n], len(paths[n]), verdicts[n]) for n in chosen)


def _one_problem(number: int, problem: Problem, samples: int, verdicts: list[Verdict]) -> str:
    kept = [verdict for verdict in verdicts if verdict.kept]
    rejected = [verdict for verdict in verdicts if not verdict.kept]
    body = f'<p>{escape(problem.question)}</p><div class="soft">gold</div><pre>{escape(problem.response)}</pre>'
    for verdict in [*kept, *rejected[:_REJECTED]]:
        word = "kept" if verdict.kept else "rejected"
        times = f", {verdict.count} times" if verdict.count > 1 else ""
        body += (
            f'<div class="{word}">{word}: {escape(verdict.why)} <small>({escape(verdict.model)}{times})</small></div>'
        )
        body += f'<pre class="{word}">{escape(verdict.response)}</pre>'
    if len(rejected) > _REJECTED:
        body += paragraph(f"… and {len(rejected) - _REJECTED} more rejected texts.")
    question = problem.question if len(problem.question) < 90 else f"{problem.question[:88]}…"
    return fold(f"{number}. {question}", f"{samples} samples, {len(kept)} kept", body)


def suspects(run: Workdir) -> str:
    """Returns the problems on whose gold answer most samples disagree, and how many are never solved."""
    selection = _widest(run.training_sets)
    if selection is None:
        return ""
    found = selection.statistics["suspect_gold_answers"]
    never = selection.statistics["never_solved"]
    intro = paragraph(
        f"For {len(found):,} problems, most samples agree on an answer other than the gold one: either the label is "
        f"wrong, or the models share a mistake. {len(never):,} problems are never solved."
    )
    grader = criteria_of(selection).load_graders()[0]
    problems = run.problems_of(selection.name)
    rows = []
    for entry in found[:50]:
        problem = problems[entry["problem"]] if problems else None
        question, gold = (problem.question, grader.parse(problem.response)) if problem else ("", "")
        shown = question if len(question) < 80 else f"{question[:78]}…"
        rows.append([f"{entry['problem']}. {shown}", gold, entry["answer"], f"{entry['votes']} of {entry['samples']}"])
    return intro + table(["problem", "gold", "samples say", "votes"], rows)


def settings(run: Workdir) -> str:
    """Returns the stages' commands and times, all settings, and the versions."""
    rows = [
        [
            name,
            record["kind"],
            "done" if record["done"] else "not finished",
            f"{record['seconds']:.0f} s",
            record["command"],
        ]
        for name, record in run.records.items()
    ]
    plan = {name: value for name, value in run.plan.items() if name != "stages"}
    shown = "".join(fold(f"{row[0]}", f"{row[1]}, {row[2]}, {row[3]}", f"<pre>{escape(row[4])}</pre>") for row in rows)
    return shown + (
        fold("pipeline", "settings and versions", f"<pre>{escape(json.dumps(plan, indent=1))}</pre>") if plan else ""
    )


def _funnels(selection: Selection) -> list[tuple[str, dict[str, Any]]]:
    models = list(selection.statistics["models"].items())
    return (
        models
        if len(models) == 1
        else [*models, (f"{' + '.join(name for name, _ in models)}", selection.statistics["united"])]
    )


def _widest(selections: list[Selection]) -> Selection | None:
    """Returns the selection from the most samples, preferring those that keep distinct paths only."""
    fit = [each for each in selections if not rules.repeats_lists(each.statistics["rules"])] or selections
    return max(fit, key=lambda each: int(each.statistics["united"]["samples"]), default=None)


def _rows_of(selection: Selection) -> int:
    counts = selection.statistics["rows"][selection.file.name]
    return int(counts["gold"] + counts["selected"])


def training_of(run: Workdir, model: str) -> tuple[str, str]:
    """Returns the number of rows a model was trained on and its steps; a dash where that is not known."""
    stage = run.stage(model)
    losses = next((each.losses for each in run.trainings if each.name == model), None)
    there = None
    for selection in run.selections:
        if stage and selection.name == stage["data"]:
            file = selection.file if stage["k"] is None else with_infix(selection.file, f"k{stage['k']}")
            there = sum(selection.statistics["rows"][file.name].values())
    if stage and stage["data"] == GOLD and run.problems:
        there = len(run.problems)
    rows = "–" if there is None else f"{in_use(there, float(fraction_of(run, stage))):,}"
    return rows, f"{losses[-1][0]:,}" if losses else "–"


def _is_whole(run: Workdir, stage: Mapping[str, Any]) -> bool:
    return is_alike(run, stage) and fraction_of(run, stage) == 1


def _samples(run: Workdir, sampling: str) -> int | None:
    """Returns the k of the paths of a selection, or None where that is gone."""
    selection = next((each for each in run.selections if run.stage(each.name).get("paths") == [sampling]), None)
    return None if selection is None else max(int(k) for k in selection.statistics["united"]["at_k"])


def _means(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the mean at each x, in order: over the seeds."""
    heights: dict[float, list[float]] = {}
    for x, y in points:
        heights.setdefault(x, []).append(y)
    return [(x, sum(values) / len(values)) for x, values in sorted(heights.items())]


def _smooth(losses: list[tuple[int, float]]) -> list[tuple[float, float]]:
    steps = max(1, len(losses) // 50)
    parts = [losses[first : first + steps] for first in range(0, len(losses), steps)]
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts]
