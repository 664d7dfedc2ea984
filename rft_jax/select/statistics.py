"""What the counts of a selection say, as JSON and as a table."""

import fractions
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rft_jax.select.tally import EVERY_SAMPLE, Funnel, Tally

# How often a problem is solved, in the paper's bins: never, up to 20 %, …, always.
_BINS = ("0%", "1-20%", "21-40%", "41-60%", "61-80%", "81-99%", "100%")


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


def describe(tally: Tally, problems: int, models: Sequence[str], ks: Sequence[int]) -> dict[str, Any]:
    """Returns the statistics as JSON values; `models` gives their order, `ks` the prefixes counted.

    Averages "a problem" are over the problems that have samples. `distinct` counts equation lists among the correct
    paths whose equations hold; `distinct_with_gold` counts the gold path's list, too; a training set has 1 + `distinct`
    rows a problem. The paper's Table 2 does not say which of the three it shows. For the united models, k counts the
    samples of each model, except that pass@k draws k of all samples together.
    """
    total = sum(tally.found_by.values())
    both, only_reference, only_robust = ((True, True), (True, False), (False, True))
    return {
        "problems": problems,
        "models": {model: _describe_funnel(tally.models[model], ks) for model in models if model in tally.models},
        "united": _describe_funnel(tally.united, ks),
        "found_by": [
            {"models": list(found), "distinct": count, "share": count / total}
            for found, count in sorted(tally.found_by.items(), key=lambda item: (-item[1], item[0]))
        ],
        "graders": {
            "correct_by_both": tally.graders[both],
            "correct_by_reference_only": tally.graders[only_reference],
            "correct_by_robust_only": tally.graders[only_robust],
            "examples": tally.disagreements,
        },
        "never_solved": tally.unsolved,
        "suspect_gold_answers": tally.suspects,
        "repeated_lines": tally.repeated,
    }


def _describe_funnel(funnel: Funnel, ks: Sequence[int]) -> dict[str, Any]:
    problems = sum(funnel.solved.values())
    samples_of: Counter[int] = Counter()
    for (samples, _), count in funnel.solved.items():
        samples_of[samples] += count
    prefixes = {k: k for k in ks if k < funnel.most_samples} | {funnel.most_samples: EVERY_SAMPLE}
    at_k = {
        str(k): {
            "correct": funnel.correct_at[counted] / problems,
            "distinct": funnel.distinct_at[counted] / problems,
            "distinct_with_gold": funnel.with_gold_at[counted] / problems,
            "pass_at_k": pass_at_k(funnel.solved, k),
        }
        for k, counted in prefixes.items()
    }
    return {
        "problems": problems,
        "samples": funnel.samples,
        "parsed": funnel.parsed,
        "correct": funnel.correct,
        "equations_hold": funnel.valid,
        "distinct": funnel.distinct,
        "at_k": at_k,
        "solved_by_share_of_samples": solved_histogram(funnel.solved),
        "problems_by_samples": {str(samples): count for samples, count in sorted(samples_of.items())},
    }


def table(statistics: Mapping[str, Any]) -> str:
    """Returns the statistics as a table for the terminal: the funnel, then the prefixes, then what to look at."""
    funnels = dict(statistics["models"])
    if len(funnels) != 1:
        funnels["united"] = statistics["united"]
    columns = ("problems", "samples", "parsed", "correct", "equations_hold", "distinct")
    rows = [["model", *(column.replace("_", " ") for column in columns)]]
    rows += [[_printable(name), *(f"{funnel[column]:,}" for column in columns)] for name, funnel in funnels.items()]
    per_k = [["a problem", "k", "correct", "distinct", "with gold", "pass@k"]]
    for name, funnel in funnels.items():
        for k, values in funnel["at_k"].items():
            numbers = [f"{values[column]:.2f}" for column in ("correct", "distinct", "distinct_with_gold")]
            share = values["pass_at_k"]
            per_k.append([_printable(name), k, *numbers, "" if share is None else f"{share:.1%}"])
    found = [["found by", "distinct", "share"]]
    for entry in statistics["found_by"][:10] if len(statistics["models"]) > 1 else []:
        names = " + ".join(map(_printable, entry["models"]))
        found.append([names, f"{entry['distinct']:,}", f"{entry['share']:.1%}"])
    graders = statistics["graders"]
    unsolved, suspects = len(statistics["never_solved"]), len(statistics["suspect_gold_answers"])
    notes = (
        f"{unsolved:,} problems are never solved; for {suspects:,} most samples agree on another answer than the gold "
        "one.\n"
        f"The graders disagree on {graders['correct_by_reference_only'] + graders['correct_by_robust_only']:,} paths "
        f"({graders['correct_by_robust_only']:,} correct by the robust one only)."
    )
    return "\n\n".join([*(_aligned(part) for part in (rows, per_k, found) if len(part) > 1), notes])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(pairs)
        ).rstrip()
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    )


def _printable(name: str) -> str:
    # A model's name comes from a file: no control characters or lone surrogates on the terminal, and no endless line.
    return "".join(letter if letter.isprintable() else "?" for letter in name[:60])
