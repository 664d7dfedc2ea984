"""How fast a checkpoint is loaded and saved, and how much memory that takes, compared with reading the file.

Every phase runs in its own process, because peak memory is measured per process; `cat` and loading take turns, because
the speed of a shared machine drifts. Loading also needs memory for the model, which `cat` does not. The file is in the
page cache for both, and that memory is made warm too: each process first touches as much and frees it. On a virtual
machine that returns freed memory to its host, this first touch can cost more than all the rest; it has its own column.
"""

import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax.benchmark.train_turns import peak_bytes
from rft_jax.hf import host_memory, names, pretrained
from rft_jax.model import architecture

PHASES = ("load apart", "load stacked", "save apart", "save stacked")


def run(*, gigabytes: float, rounds: int) -> list[str]:
    """Measures every phase on a random bf16 checkpoint.

    Args:
        gigabytes: approximate size of the checkpoint.
        rounds: runs of each phase; the median is reported.

    Returns:
        The lines of a table: seconds for touching as much memory for the first time, for the phase, and for the phase
        repeated; rates as shares of `cat`'s; and peak memory beyond JAX's own as a multiple of the file size.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        make_checkpoint(folder, gigabytes)
        file = folder / "model.safetensors"
        file_bytes = file.stat().st_size
        _cat(file)  # warms the page cache
        cats: list[float] = []
        results: dict[str, list[dict[str, float]]] = {phase: [] for phase in PHASES}
        for _ in range(rounds):
            for phase, measured in results.items():
                cats.append(_cat(file))
                measured.append(_in_own_process(phase, folder))
    cat = statistics.median(cats)
    lines = [
        f"{file_bytes / 1e9:.2f} GB bf16, {jax.devices()[0].device_kind}, {os.cpu_count()} cores; median of {rounds}",
        f"{'':16}{'touch':>8}{'first':>8}{'again':>10}{'of cat':>8}{'again':>8}{'peak':>8}",
        f"{'cat > /dev/null':16}{'':8}{cat:6.2f} s",
    ]
    for phase, measured in results.items():
        touch, first, again = (statistics.median(x[name] for x in measured) for name in ("touch", "first", "again"))
        peak = max(x["peak"] - x["before"] for x in measured) / file_bytes
        lines.append(
            f"{phase:16}{touch:6.2f} s{first:6.2f} s{again:8.2f} s{cat / first:8.2f}{cat / again:8.2f}{peak:7.2f}×"
        )
    return lines


def make_checkpoint(folder: Path, gigabytes: float) -> None:
    """Writes a random Llama of about this size: as many layers of a 1B's width as it takes."""
    one_layer = dataclasses.replace(
        architecture.size("bench-58m"),
        width=2048, heads=16, kv_heads=16, head_width=128, mlp_width=5632, layers=1,
    )  # fmt: skip
    layer = dataclasses.replace(one_layer, layers=2).parameters - one_layer.parameters
    layers = max(1, round((gigabytes * 1e9 / 2 - one_layer.parameters) / layer) + 1)
    config = dataclasses.replace(one_layer, layers=layers)
    random = np.random.default_rng(0)

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for name, shape in names.shapes(config).items():
            yield name, random.standard_normal(shape, np.float32).astype(jnp.bfloat16)

    pretrained.write(folder, config, tensors(), tokenizer_from=None, dtype=jnp.dtype(jnp.bfloat16), shard_bytes=1 << 60)


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
    """Runs one phase here, twice.

    Returns:
        touch, first, again: seconds. before, peak: peak resident memory before and after the first run, in bytes.
    """
    jax.block_until_ready(jnp.zeros(8))  # JAX's own memory does not count
    file_bytes = (folder / "model.safetensors").stat().st_size
    touch = _seconds(lambda: host_memory.empty((file_bytes,), np.dtype(np.uint8)).fill(1))
    before = _restart_peak()
    action = _action(phase, folder)
    first, peak, again = _seconds(action), peak_bytes(), _seconds(action)
    return {"touch": touch, "first": first, "again": again, "before": before, "peak": peak}


def _action(phase: str, folder: Path) -> Callable[[], object]:
    action, layers = phase.split()
    load = functools.partial(pretrained.load, folder, dtype=None, stacked=layers == "stacked")
    if action == "load":
        return lambda: jax.block_until_ready(load())
    model = jax.block_until_ready(load())
    target = folder.parent / "saved"
    return lambda: pretrained.save(model, target, tokenizer_from=None, dtype=jnp.dtype(jnp.bfloat16))


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _restart_peak() -> int:
    """Makes the kernel restart its peak and returns it, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]))))
