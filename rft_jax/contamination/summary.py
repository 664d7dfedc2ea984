"""What a comparison has found, for the terminal."""

from collections.abc import Mapping
from typing import Any

from rft_jax.contamination.compare import TRAIN
from rft_jax.contamination.pairs import TOLD, Kind

SAME = (Kind.TEXT, Kind.NORMALISED)


def table(result: Mapping[str, Any]) -> str:
    """Returns how many test problems are alike to others, by kind.

    Args:
        result: contamination.json.
    """
    lines = [f"{result['test']['count']:,} test problems, each counted by its strongest pair"]
    width = max(map(len, TOLD.values()))
    for name, counts in result["counts"].items():
        here = f"{result[TRAIN]['count']:,} training problems" if name == TRAIN else name
        lines.append(f"{here}:")
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
    for name, counts in result["counts"].items():
        same = sum(counts[kind]["test_problems"] for kind in SAME)
        if same:
            where = "among the training problems: accuracy on them says nothing" if name == TRAIN else f"in {name}"
            found.append(f"warning: {same:,} of the {result['test']['count']:,} test problems are {where}")
    return found
