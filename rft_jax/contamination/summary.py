"""What a comparison has found, for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rft_jax.contamination.pairs import TOLD, Kind

SAME = (Kind.TEXT, Kind.NORMALISED)
Counts = Mapping[str, Mapping[str, int]]


def places(result: Mapping[str, Any]) -> Iterator[tuple[str, Counts]]:
    """Yields what was compared with, the training problems first, and what was found there.

    Args:
        result: contamination.json.
    """
    yield f"{result['train']['count']:,} training problems", result["train"]["found"]
    for corpus in result["corpora"]:
        yield f"{corpus['file']}, {corpus['texts']:,} texts", corpus["found"]


def table(result: Mapping[str, Any]) -> str:
    """Returns how many test problems are alike to others, by kind.

    Args:
        result: contamination.json.
    """
    lines = [f"{result['test']['count']:,} test problems, each counted by its strongest pair"]
    width = max(map(len, TOLD.values()))
    for where, counts in places(result):
        lines.append(f"{where}:")
        lines += [
            f"  {TOLD[kind]:{width}} {counts[kind]['test_problems']:6,} in {counts[kind]['pairs']:,} pairs"
            for kind in Kind
            if counts[kind]["pairs"]
        ] or ["  nothing"]
    return "\n".join(lines)


def warnings(result: Mapping[str, Any]) -> list[str]:
    """Returns a line for each place where test problems are to be found as they are.

    Args:
        result: contamination.json.
    """
    found = []
    for number, (where, counts) in enumerate(places(result)):
        if same := _test_problems(counts, *SAME):
            are = "is" if same == 1 else "are"
            there = f"in {where}" if number else "among the training problems: accuracy on them says nothing"
            found.append(f"warning: {same:,} of the {result['test']['count']:,} test problems {are} {there}")
    return found


def notes(result: Mapping[str, Any]) -> list[str]:
    """Returns a line for each place where test problems are to be found in another form.

    Args:
        result: contamination.json.
    """
    found = []
    for number, (where, counts) in enumerate(places(result)):
        changed = _test_problems(counts, Kind.NUMBERS, Kind.NAMES)
        close = _test_problems(counts, Kind.NEAR, Kind.WORDS)
        if changed or close:
            there = f"in {where}" if number else "among the training problems"
            found.append(
                f"note: {there}, {changed:,} of the {result['test']['count']:,} test problems occur with other numbers "
                f"or names, and {close:,} in nearly the same words or in part: accuracy on these tells of familiar "
                "kinds of problem, not of new ones"
            )
    return found


def _test_problems(counts: Counts, *kinds: Kind) -> int:
    return sum(counts[kind]["test_problems"] for kind in kinds)
