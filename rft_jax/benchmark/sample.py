"""Sampling: this project, also without shared prompts, beside transformers' generate and google-tunix's Sampler.

Measures useful tokens per second of wall time and, as the machine may be shared, of CPU time. Every engine runs in its
own process, and they take turns, because the speed of a shared machine drifts.
"""

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rft_jax.benchmark import sample_work

PROBLEMS, SAMPLES = 400, 100  # more than any engine finishes in its time
BATCHES = {"transformers": (8, 64), "tunix": (8, 64)}


def run(*, problems_file: str, size: str, rows: int, seconds: float, rounds: int, peer_python: str) -> list[str]:
    """Measures every engine.

    Args:
        problems_file: GSM8K's training problems.
        size: name of the architecture, with random weights.
        rows: samples in flight in our engine.
        seconds: time for each engine in a round.
        rounds: number of rounds.
        peer_python: a Python that can import both tunix and this project.

    Returns:
        The lines of a table.

    Raises:
        UserError: the problems are missing or too few.
    """
    engines = [("ours", rows, sys.executable), ("ours, unshared", rows, sys.executable)]
    if importlib.util.find_spec("torch"):
        engines += [("transformers", batch, sys.executable) for batch in BATCHES["transformers"]]
    if subprocess.run([peer_python, "-c", "import tunix"], capture_output=True, check=False).returncode == 0:
        engines += [("tunix", batch, peer_python) for batch in BATCHES["tunix"]]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "work.json"
        work = sample_work.make(problems_file, PROBLEMS, SAMPLES)
        work.save(file)
        lines = [f"{size}, random weights, T 0.7, top-k 50, lengths forced; {work.summary}"]
        measured: dict[tuple[str, int], list[dict]] = {(name, batch): [] for name, batch, _ in engines}
        for _ in range(rounds):
            for name, batch, python in engines:
                command = [python, "-m", "rft_jax.benchmark.sample_engines", name, str(file), size, str(batch)]
                done = subprocess.run([*command, str(seconds)], stdout=subprocess.PIPE, check=True)
                measured[name, batch].append(json.loads(done.stdout.splitlines()[-1]))
    rates: dict[str, list[tuple[float, float]]] = {}
    for (name, batch), results in measured.items():
        wall = statistics.median(result["tokens"] / result["seconds"] for result in results)
        cpu = statistics.median(result["tokens"] / result["cpu"] for result in results)
        rates.setdefault(name, []).append((cpu, wall))
        tokens = sum(result["tokens"] for result in results)
        remark = f"({tokens} tokens; {results[-1]['remark']})"
        lines.append(f"{name:15}{batch:5} rows {wall:8.0f} tokens/s {cpu:8.0f} tokens/CPU-s  {remark}")
    best = {name: [max(column) for column in zip(*pairs, strict=True)] for name, pairs in rates.items()}
    for name, (cpu, wall) in best.items():
        if name != "ours":
            lines.append(
                f"ours / best {name}: {best['ours'][1] / wall:.2f} in wall time, {best['ours'][0] / cpu:.2f} in CPU"
            )
    return lines
