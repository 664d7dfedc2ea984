"""What a run tells about itself: metrics.jsonl, TensorBoard events and a progress bar."""

import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import jax
import tensorboardX
import tqdm

from rft_jax import files, hardware
from rft_jax.errors import UserError


def memory_bytes() -> int:
    """Returns the most memory in use so far: of the first device, or of this process where the device does not tell."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "peak_bytes_in_use" in statistics:
        return int(statistics["peak_bytes_in_use"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Reporter:
    """Writes each step's metrics, on process 0."""

    def __init__(self, workdir: Path, *, start: int, steps: int, flops_per_token: float) -> None:
        """Opens the files, and drops from metrics.jsonl the lines of steps that a killed run will repeat.

        Args:
            workdir: of the run.
            start: steps done before.
            steps: of the whole run.
            flops_per_token: of training on a useful token, for the utilisation.
        """
        self._flops_per_token = flops_per_token
        known = hardware.of_kind(jax.devices()[0].device_kind)
        self._peak = known.peak if known else None
        self._is_first = jax.process_index() == 0
        self._before = time.perf_counter()
        self._bar = tqdm.tqdm(
            total=steps, initial=start, desc="train", unit="step", disable=None if self._is_first else True
        )
        if self._is_first:
            path = workdir / "metrics.jsonl"
            keep_steps(path, start)
            self._lines = path.open("a", encoding="utf-8")
            self._board = tensorboardX.SummaryWriter(str(workdir / "tensorboard"), purge_step=start, flush_secs=10)

    def write(self, step: int, values: dict[str, float], tokens: int, padded_tokens: int) -> None:
        """Writes the numbers of one step.

        Args:
            step: steps done.
            values: what the step computed.
            tokens: useful tokens in its batch.
            padded_tokens: the same with padding.
        """
        now = time.perf_counter()
        seconds, self._before = now - self._before, now
        line: dict[str, Any] = {
            "step": step,
            **values,
            "tokens_per_second": tokens / seconds,
            "padding": 1 - tokens / padded_tokens,
            "seconds": seconds,
            "memory_bytes": memory_bytes(),
        }
        if self._peak is not None:
            flops = self._flops_per_token * tokens
            line["model_flops_utilisation"] = flops / (seconds * self._peak * jax.device_count())
        self._bar.update()
        if self._is_first:
            self._bar.set_postfix(loss=f"{values['loss']:.4f}", tokens_per_second=f"{tokens / seconds:.0f}")
            try:
                self._lines.write(json.dumps(line) + "\n")
                self._lines.flush()
            except OSError as error:
                raise UserError(f"cannot write {self._lines.name}: {error.strerror}; mend that and repeat") from error
            for name, value in line.items():
                if name != "step":
                    self._board.add_scalar(name, value, step)

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files and the bar."""
        self._bar.close()
        if self._is_first:
            with contextlib.suppress(OSError):  # already told, when a line could not be written
                self._lines.close()
            self._board.close()


def keep_steps(path: Path, last: int) -> None:
    """Cuts metrics.jsonl after the line of step `last`; a line that a kill cut short goes too."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step(line) <= last]
    with files.whole_file(path) as partial:
        partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
