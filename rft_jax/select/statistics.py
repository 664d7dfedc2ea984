"""What the counts of a selection say, as JSON and as a table."""

import fractions
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rft_jax.select.tally import EVERY_SAMPLE, Audit, Funnel, Tally

# How often a problem is solved, in the paper's bins: never, up to 20 %, …, always.
_BINS = ("0%", "1-20%", "21-40%", "41-60%", "61-80%", "81-99%", "100%")

# The funnel, in order; the rare ones are shown where there are any.
COLUMNS = (
    "problems", "samples", "parsed", "correct", "run_on", "not_text", "equations_hold", "distinct",
    "distinct_canonical",
)  # fmt: skip
RARE = ("run_on", "not_text")
_STOPPED = (
    "a problem's samples stopped by what they showed, so pass@k is from the first {} samples, which every problem has; "
    "more would be biased"
)
_UNTOLD = (
    "the problems have different numbers of samples, and nothing tells whether they stopped by what they showed, which "
    "would bias pass@k"
)
_PER_K = ("correct", "distinct", "distinct_canonical", "distinct_with_gold")


def pass_at_k(solved: Mapping[tuple[int, int], int], k: int) -> float | None:
    """Returns the unbiased estimate of pass@k, 1 - C(n-c, k) / C(n, k), averaged over the problems.

    Args:
        solved: (n samples, c correct ones) of a problem -> how many problems.
        k: None comes back when some problem has fewer samples than k.
    """
    if not solved or min(samples for samples, _ in solved) < k:
        return None
    missed = sum(
        (fractions.Fraction(math.comb(n - c, k), math.comb(n, k)) * count for (n, c), count in solved.items()),
        start=fractions.Fraction(0),
    )
    return float(1 - missed / sum(solved.values()))


def solved_histogram(solved: Mapping[tuple[int, int], int]) -> dict[str, int]:
    """Returns how many problems are solved by which share of their samples, in the paper's bins."""
    bins: dict[str, int] = dict.fromkeys(_BINS, 0)
    for (samples, correct), count in solved.items():
        place = len(_BINS) - 1 if correct == samples else -(-5 * correct // samples)
        bins[_BINS[place]] += count
    return bins


def describe(
    tally: Tally,
    problems: int,
    models: Sequence[str],
    ks: Sequence[int],
    unread: Mapping[str, int],
    *,
    always: Mapping[str, int],
    told: bool,
) -> dict[str, Any]:
    """Returns the statistics as JSON values.

    Args:
        tally: the counts.
        problems: how many there are.
        models: in the order to tell of them.
        ks: the prefixes counted.
        unread: auditor's name -> problems whose gold answer it cannot read.
        always: the models whose samples stopped by what they showed, each with how many every problem surely has.
        told: whether that is known of all paths.

    pass@k is given where it is unbiased; "pass_at_k_note" says where not and why.

    Averages per problem are over the problems that have samples. `distinct` counts equation lists among the correct
    paths that are fit and whose equations hold, `distinct_canonical` their canonical names; `distinct_with_gold` counts
    the gold path's list, too; a training set has 1 + `distinct` rows per problem. The paper's Table 2 does not say
    which of these it shows. For the united models, k counts the samples of each model, except that pass@k draws k of
    all samples together.
    """
    total = sum(tally.found_by.values())
    notes = {model: _note(tally.models[model], always.get(model), told) for model in models if model in tally.models}
    of_united = next((note for note in notes.values() if note), None)
    return {
        "problems": problems,
        "models": {model: _describe_funnel(tally.models[model], ks, note) for model, note in notes.items()},
        "united": _describe_funnel(tally.united, ks, of_united),
        "found_by": [
            {"models": list(found), "distinct": count, "share": count / total}
            for found, count in sorted(tally.found_by.items(), key=lambda item: (-item[1], item[0]))
        ],
        "graders": {
            name: _describe_audit(tally.grader, name, audit, unread[name]) for name, audit in tally.audits.items()
        },
        "never_solved": tally.unsolved,
        "suspect_gold_answers": tally.suspects,
        "repeated_lines": tally.repeated,
    }


def _describe_audit(grader: str, name: str, audit: Audit, unread: int) -> dict[str, Any]:
    compared, differing = audit.counts.total(), audit.counts[True, False] + audit.counts[False, True]
    return {
        "correct_by_both": audit.counts[True, True],
        f"correct_by_{grader}_only": audit.counts[True, False],
        f"correct_by_{name}_only": audit.counts[False, True],
        "paths": compared,
        "disagree": differing,
        "share": differing / compared if compared else None,
        "unreadable_gold_answers": unread,
        "examples": audit.examples,
    }


def _note(funnel: Funnel, always: int | None, told: bool) -> str | None:
    """Returns why there is no pass@k from all samples of a model, None if there is."""
    if always is not None:
        return _STOPPED.format(always)
    return None if told or len({samples for samples, _ in funnel.solved}) < 2 else _UNTOLD


def _describe_funnel(funnel: Funnel, ks: Sequence[int], note: str | None) -> dict[str, Any]:
    problems = sum(funnel.solved.values())
    samples_of: Counter[int] = Counter()
    for (samples, _), count in funnel.solved.items():
        samples_of[samples] += count
    prefixes = {k: k for k in ks if k < funnel.most_samples} | {funnel.most_samples: EVERY_SAMPLE}
    at_k = {
        str(k): {
            "correct": funnel.correct_at[counted] / problems,
            "distinct": funnel.distinct_at[counted] / problems,
            "distinct_canonical": funnel.canonical_at[counted] / problems,
            "distinct_with_gold": funnel.with_gold_at[counted] / problems,
            "pass_at_k": None if note == _UNTOLD else pass_at_k(funnel.solved_by_first, k),
        }
        for k, counted in prefixes.items()
    }
    return {
        "problems": problems,
        "samples": funnel.samples,
        "parsed": funnel.parsed,
        "correct": funnel.correct,
        "run_on": funnel.run_on,
        "not_text": funnel.not_text,
        "equations_hold": funnel.valid,
        "distinct": funnel.distinct,
        "distinct_canonical": funnel.distinct_canonical,
        "at_k": at_k,
        "pass_at_k_note": note,
        "solved_by_share_of_samples": solved_histogram(funnel.solved),
        "problems_by_samples": {str(samples): count for samples, count in sorted(samples_of.items())},
    }


def table(statistics: Mapping[str, Any]) -> str:
    """Returns the statistics as a table for the terminal: the funnel, then the prefixes, then what to look at."""
    funnels = dict(statistics["models"])
    if len(funnels) != 1:
        funnels["united"] = statistics["united"]
    columns = [name for name in COLUMNS if name not in RARE or any(funnel[name] for funnel in funnels.values())]
    rows = [["model", *("canonical" if name == "distinct_canonical" else name.replace("_", " ") for name in columns)]]
    rows += [[printable(name), *(f"{funnel[column]:,}" for column in columns)] for name, funnel in funnels.items()]
    per_k = [["per problem", "k", "correct", "distinct", "canonical", "with gold", "pass@k"]]
    for name, funnel in funnels.items():
        for k, values in funnel["at_k"].items():
            numbers = [f"{values[column]:.2f}" for column in _PER_K]
            share = values["pass_at_k"]
            per_k.append([printable(name), k, *numbers, "" if share is None else f"{share:.1%}"])
    found = [["found by", "distinct", "share"]]
    for entry in statistics["found_by"][:10] if len(statistics["models"]) > 1 else []:
        names = " + ".join(map(printable, entry["models"]))
        found.append([names, f"{entry['distinct']:,}", f"{entry['share']:.1%}"])
    unsolved, suspects = len(statistics["never_solved"]), len(statistics["suspect_gold_answers"])
    notes = [
        f"{unsolved:,} problems are never solved; for {suspects:,} most samples agree on another answer than the gold "
        "one."
    ]
    notes += [
        f"{count:,} answers took the grader {name} too long to read: no answers."
        for name, count in statistics.get("answers_given_up", {}).items()
    ]
    notes += [f"{name}: {note}." for name, each in funnels.items() if (note := each.get("pass_at_k_note"))]
    notes += [_audit_line(statistics["grader"], name, audit) for name, audit in statistics["graders"].items()]
    return "\n\n".join([*(aligned(part) for part in (rows, per_k, found) if len(part) > 1), "\n".join(notes)])


def _audit_line(grader: str, name: str, audit: Mapping[str, Any]) -> str:
    unread, share = audit["unreadable_gold_answers"], audit["share"]
    return (
        f"The graders {grader} and {name} disagree on {audit['disagree']:,} of {audit['paths']:,} paths"
        f"{'' if share is None else f' ({share:.1%})'}: "
        f"{audit[f'correct_by_{grader}_only']:,} correct by {grader} only, {audit[f'correct_by_{name}_only']:,} by "
        f"{name} only." + (f" {name} cannot read {unread:,} gold answers, which are left out." if unread else "")
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of cells as lines, the first column aligned to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(pairs)
        ).rstrip()
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    )


def printable(name: str) -> str:
    """Returns a name in one line."""
    # A model's name comes from a file: no control characters or lone surrogates on the terminal, and no endless line.
    return "".join(letter if letter.isprintable() else "?" for letter in name[:60])
