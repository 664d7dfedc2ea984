"""How fast a checkpoint is loaded and saved, and how much memory that takes, next to reading the file.

Every phase runs in a process of its own, because peak memory is a process's; `cat` and loading alternate, because the
speed of a shared machine drifts.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax.model import architecture, hf, hf_table

PHASES = ("load apart", "load stacked", "save apart", "save stacked")


def run(*, gigabytes: float, rounds: int) -> str:
    """Measures every phase on a random bf16 checkpoint.

    Args:
        gigabytes: about the size of the checkpoint.
        rounds: how often `cat` and each phase are run; the median counts.

    Returns:
        A table: seconds, GB/s, share of the rate of `cat`, and peak memory beyond JAX's own, as a multiple of the size.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        make_checkpoint(folder, gigabytes)
        file = folder / "model.safetensors"
        size = file.stat().st_size
        _cat(file)  # warms the page cache
        cats: list[float] = []
        results: dict[str, list[dict[str, float]]] = {phase: [] for phase in PHASES}
        for _ in range(rounds):
            for phase in PHASES:
                cats.append(_cat(file))
                results[phase].append(_in_own_process(phase, folder))
    reading = statistics.median(cats)
    lines = [
        f"checkpoint of {size / 1e9:.2f} GB, bf16; {jax.devices()[0].device_kind}; median of {rounds} (best, worst)",
        f"{'cat to /dev/null':18}{reading:7.2f} s  {size / reading / 1e9:6.2f} GB/s",
    ]
    for phase, measured in results.items():
        seconds = [result["seconds"] for result in measured]
        middle = statistics.median(seconds)
        memory = max(result["peak"] - result["before"] for result in measured) / size
        lines.append(
            f"{phase:18}{middle:7.2f} s  {size / middle / 1e9:6.2f} GB/s  {reading / middle:5.2f} of cat  "
            f"peak {memory:.2f} × size  ({min(seconds):.2f}, {max(seconds):.2f} s)"
        )
    return "\n".join(lines)


def make_checkpoint(folder: Path, gigabytes: float) -> None:
    """Writes a random Llama of about this size: as many layers of a 1B's width as it takes."""
    size = architecture.size("bench-58m")
    size = dataclasses.replace(size, width=2048, heads=16, kv_heads=16, head_width=128, mlp_width=5632, layers=1)
    layer = dataclasses.replace(size, layers=2).parameters - size.parameters
    config = dataclasses.replace(size, layers=max(1, round((gigabytes * 1e9 / 2 - size.parameters) / layer) + 1))
    random = np.random.default_rng(0)

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for name, shape in hf_table.shapes(config).items():
            yield name, random.standard_normal(shape, np.float32).astype(jnp.bfloat16)

    hf.write(folder, config, tensors(), tokenizer_from=None, dtype=jnp.dtype(jnp.bfloat16), shard_bytes=1 << 60)


def _cat(file: Path) -> float:
    start = time.perf_counter()
    with Path("/dev/null").open("wb") as nowhere:
        subprocess.run(["cat", str(file)], stdout=nowhere, check=True)
    return time.perf_counter() - start


def _in_own_process(phase: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "rft_jax.benchmark.load", phase, str(folder)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def _measure(phase: str, folder: Path) -> dict[str, float]:
    """Runs one phase here; returns its seconds, and the peak resident memory before and after it in bytes."""
    jax.block_until_ready(jnp.zeros(8))  # the JAX process itself
    before = _peak()
    action, layers = phase.split()
    start = time.perf_counter()
    model = jax.block_until_ready(hf.load(folder, dtype=None, stacked=layers == "stacked"))
    if action == "save":
        start = time.perf_counter()
        hf.save(model, folder.parent / "saved", tokenizer_from=None, dtype=jnp.dtype(jnp.bfloat16))
    return {"seconds": time.perf_counter() - start, "before": before, "peak": _peak()}


def _peak() -> int:
    # Not getrusage: a child's ru_maxrss starts from that of the process that made it.
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]))))
