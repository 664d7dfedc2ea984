"""Sampling: this project beside transformers' generate and google-tunix's Sampler, on many workloads.

Measures useful tokens per second of wall time and, as the machine may be shared, of CPU time. Every engine runs in its
own process, and they take turns, because the speed of a shared machine drifts.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rft_jax.benchmark import sample_work
from rft_jax.benchmark.sample_work import WORKLOADS, Work
from rft_jax.errors import UserError, did_you_mean

_OURS = ("tok/s", "/CPU-s", "in use", "twice", "shard", "all in")
_PEER = ("tok/s", "/CPU-s", "rows", "all in")
_PEERS = ("generate", "tunix")
_NAME, _CELL = 10, 8  # widths of the columns
_LEGEND = (
    "Random weights, forced lengths, everything compiled before. Useful tokens per second of wall time and of CPU "
    "time; in use: share of the rows' steps that gave a useful token; twice: share of decoded tokens that were lost; "
    "shard: seconds to the first whole block of 8 problems × 50 samples (32 problems × k up to 8); all in: seconds for "
    "all the work, – where the time did not suffice; rows: the peer's best batch; ×: ours / generate, wall."
)


WHOLE = 10  # times the seconds asked for, at most, for work that is done whole


def run(
    *, problems_file: str, names: Sequence[str] | None, size: str | None, rows: int, seconds: float, rounds: int,
    peer_python: str,
) -> Iterator[str]:  # fmt: skip
    """Measures every engine on some workloads.

    Args:
        problems_file: GSM8K's training problems; the test problems are looked for beside it.
        names: of the workloads; None: all.
        size: name of an architecture to use instead of the workloads' own.
        rows: samples in flight in our engine; 0: it chooses.
        seconds: time for each engine in a round; work that is one batch of a peer gets as much as it needs, and of one
            sample per problem ours does.
        rounds: number of rounds.
        peer_python: a Python that can import both tunix and this project.

    Yields:
        The lines of a table.

    Raises:
        UserError: an unknown workload, the problems are missing or too few, or an engine failed.
    """
    for name in names or ():
        if name not in WORKLOADS:
            raise UserError(f"unknown workload '{name}'{did_you_mean(name, WORKLOADS)}; known: {', '.join(WORKLOADS)}")
    pythons = {"ours": sys.executable}
    if importlib.util.find_spec("torch"):
        pythons["generate"] = sys.executable
    if subprocess.run([peer_python, "-c", "import tunix"], capture_output=True, check=False).returncode == 0:
        pythons["tunix"] = peer_python
    source = sample_work.Source(problems_file)
    yield _LEGEND
    over = [f"{'ours':^{_CELL * len(_OURS)}}", *(f"{peer:^{_CELL * len(_PEER)}}" for peer in _PEERS)]
    yield " " * _NAME + "".join(over)
    yield _line("", [*_OURS, *_PEER * len(_PEERS), "×"])
    for name in names or WORKLOADS:
        work = source.work(WORKLOADS[name], size)
        batches = sorted({min(batch, work.lengths.size) for batch in WORKLOADS[name].batches})
        # A peer does work of one batch whole, so ours does too: the last samples are the slowest. And with one sample
        # per problem ours reads all prompts of its rows first, which a peer does batch by batch.
        one_batch, one_sample = work.lengths.size <= batches[-1], work.lengths.shape[1] == 1
        limits = {
            engine: seconds * (WHOLE if one_batch or (one_sample and engine == "ours") else 1) for engine in pythons
        }
        engines = [(engine, batch) for engine in pythons for batch in ([rows] if engine == "ours" else batches)]
        measured: dict[tuple[str, int], list[dict[str, Any]]] = {engine: [] for engine in engines}
        for _ in range(rounds):
            for engine, batch in engines:
                measured[engine, batch].append(_measure(pythons[engine], engine, work, limits[engine], batch))
        yield _row(name, {engine: _medians(results) for engine, results in measured.items()})
        compiled = sum(result["compiled"] for result in measured["ours", rows])
        yield (
            " " * _NAME + work.summary + (f"; {compiled} programs of ours compiled within the time" if compiled else "")
        )


def _measure(python: str, engine: str, work: Work, seconds: float, size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "work.json"
        work.save(file)
        command = [python, "-m", "rft_jax.benchmark.sample_engines", engine, str(file), str(seconds), str(size)]
        # Where others use the machine too, torch's threads would spend their time waiting for each other, 12 times
        # slower than one thread alone.
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=False)
    if done.returncode:
        raise UserError(f"{engine} with {size} rows ended with {done.returncode}; what it said is above")
    return json.loads(done.stdout.splitlines()[-1])


def _medians(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the median of each number; of what some rounds did not reach, none."""
    columns = {name: [result[name] for result in results] for name in results[0]}
    columns["wall"] = [result["tokens"] / result["seconds"] for result in results]
    columns["per_cpu"] = [result["tokens"] / result["cpu"] for result in results]
    return {name: None if None in column else statistics.median(column) for name, column in columns.items()}


def _row(name: str, measured: dict[tuple[str, int], dict[str, Any]]) -> str:
    best: dict[str, dict[str, Any]] = {}
    for (engine, batch), result in measured.items():
        if engine not in best or result["wall"] > best[engine]["wall"]:
            best[engine] = result | {"batch": batch}
    ours = best["ours"]
    cells = [*_rates(ours), f"{ours['occupancy']:.1%}", f"{ours['twice']:.1%}", _seconds(ours["shard"]), _all_in(ours)]
    for peer in _PEERS:
        there = best.get(peer)
        cells += [*_rates(there), str(there["batch"]), _all_in(there)] if there else ["–"] * len(_PEER)
    ratio = f"{ours['wall'] / best['generate']['wall']:.2f}" if "generate" in best else "–"
    return _line(name, [*cells, ratio])


def _rates(result: dict[str, Any]) -> list[str]:
    return [f"{result['wall']:.0f}", f"{result['per_cpu']:.0f}"]


def _all_in(result: dict[str, Any]) -> str:
    return _seconds(result["seconds"] if result["whole"] == 1 else None)


def _seconds(number: float | None) -> str:
    return "–" if number is None else f"{number:.1f}"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:{_NAME}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)
