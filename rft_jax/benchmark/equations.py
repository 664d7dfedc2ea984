"""The cost of finding equations in plain text, compared with reading annotated ones, on the same responses in one run.

The responses are a released model's, if available, and generated ones, which repeat equations and texts as the samples
of a run do. The peer reads them with their `<<…>>`, ours without. The two take turns on parts of the responses, first
with cold caches, as in a selection, then once more; processor time is compared.
"""

import functools
import gc
import os
import pathlib
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Sequence

from rft_jax.benchmark.select import FIVE_MODELS, generate
from rft_jax.records.lines import read_objects
from rft_jax.records.path import read_paths
from rft_jax.task import agreement, equations, plain_alone
from rft_jax.task import canonical as canonical_module
from rft_jax.task.canonical import canonical

_ROUNDS = 7
_PART = 200  # responses
_GENERATED_PROBLEMS = 10
_ANNOTATION = re.compile(r"<<[^>]*>>")


def run(released: pathlib.Path | None = None) -> list[str]:
    """Measures, and returns the lines of the report.

    Args:
        released: JSONL file of a released model's responses, with the field `response`; None: generated ones only.
    """
    lines = [f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"]
    if released is not None and released.is_file():
        responses = [fields["response"] for _, fields in read_objects(released)]
        lines += _side_by_side("released model, one response per problem", responses)
    with tempfile.TemporaryDirectory() as folder:
        _, files = generate(FIVE_MODELS, _GENERATED_PROBLEMS, pathlib.Path(folder) / "paths")
        responses = [path.response for file in files for path in read_paths(file)]
    return lines + _side_by_side(f"generated, {_GENERATED_PROBLEMS} problems", responses)


def _side_by_side(title: str, annotated: Sequence[str]) -> list[str]:
    plain = [_ANNOTATION.sub("", response) for response in annotated]
    parts = [(annotated[start : start + _PART], plain[start : start + _PART]) for start in range(0, len(plain), _PART)]
    seconds: dict[str, list[float]] = {name: [] for name in ("annotated", "plain", "annotated again", "plain again")}
    for _ in range(_ROUNDS):
        _forget()
        totals = dict.fromkeys(seconds, 0.0)
        for again in ("", " again"):
            for theirs, ours in parts:
                totals[f"annotated{again}"] += _time(equations.ANNOTATED, theirs)
                totals[f"plain{again}"] += _time(equations.PLAIN, ours)
        for name, total in totals.items():
            seconds[name].append(total)
    best = {name: 1e6 * min(values) / len(plain) for name, values in seconds.items()}
    ratios = {
        again: statistics.median(
            ours / theirs for ours, theirs in zip(seconds[f"plain{again}"], seconds[f"annotated{again}"], strict=True)
        )
        for again in ("", " again")
    }
    return [
        f"{title}, {len(plain):,} responses, µs of processor time per response, best of {_ROUNDS} alternating rounds: "
        f"annotated {best['annotated']:.1f}, plain text {best['plain']:.1f}, median ratio {ratios['']:.2f}; seen "
        f"before: annotated {best['annotated again']:.1f}, plain text {best['plain again']:.1f}, median ratio "
        f"{ratios[' again']:.2f}",
        _canonical(title, plain),
    ]


def _time(kind: equations.Equations, responses: Sequence[str]) -> float:
    begin = time.process_time()
    for response in responses:
        kind.key(response)
    return time.process_time() - begin


def _canonical(title: str, responses: Sequence[str]) -> str:
    keys = list({key: None for response in responses if (key := equations.PLAIN.key(response))})
    seconds = []
    for _ in range(_ROUNDS):
        _forget()
        begin = time.process_time()
        names = {canonical(key) for key in keys}
        seconds.append(time.process_time() - begin)
    steps = sum(key.count("|") + 1 for key in keys) / len(keys)
    return (
        f"{title}, {len(keys):,} distinct lists of {steps:.1f} equations: "
        f"{1e6 * min(seconds) / len(keys):.1f} µs per canonical name, {len(names):,} names"
    )


def _forget() -> None:
    """Empties the caches, so that each round sees its texts for the first time."""
    owners = (agreement, equations, plain_alone, canonical_module, type(equations.ANNOTATED), type(equations.PLAIN))
    for value in [value for owner in owners for value in vars(owner).values()]:
        function = getattr(value, "__func__", value)
        if isinstance(function, functools._lru_cache_wrapper):
            function.cache_clear()
    gc.collect()
