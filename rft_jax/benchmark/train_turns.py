"""What a trainer's process and the measuring one tell each other: a step per message, its cost, at the end the peak."""

import time
from collections.abc import Callable
from pathlib import Path

Measured = tuple[float, float, float]  # a step's wall seconds, CPU seconds and loss


def timed(take: Callable[[], float]) -> Measured:
    """Measures a step, given as a function that returns its loss."""
    before, cpu_before = time.perf_counter(), time.process_time()
    loss = take()
    return time.perf_counter() - before, time.process_time() - cpu_before, loss


def peak_bytes() -> int:
    """Returns the most resident memory that this process has had."""
    # Not getrusage: a child's ru_maxrss starts from its parent's.
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
