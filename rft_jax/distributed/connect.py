"""Joining the processes of a run, with time-outs of our choosing."""

import contextlib
import re
import socket
import time

import jax

from rft_jax import stopping
from rft_jax.distributed import guardian
from rft_jax.distributed.lifeline import Lifeline
from rft_jax.distributed.processes import Processes
from rft_jax.errors import UserError

HEARTBEAT_S = 100  # of JAX; the lifeline is faster, and says more


def connect(processes: Processes, meet_s: float) -> None:
    """Joins the others. Call it before anything touches a device; only a child of this process returns.

    Args:
        processes: of the run.
        meet_s: seconds for all to come.

    Raises:
        UserError: they cannot be found, or not all came in time.
    """
    guardian.guard(processes)
    stopping.leave_at_once()  # there is nothing to save yet, so a signal need not wait for the others
    # Its notifier would swallow SIGTERM.
    jax.config.update("jax_enable_preemption_service", False)
    given = {}
    if processes.address is not None:
        _reach(processes.address, processes.number or 0, meet_s)
        given = {
            "coordinator_address": processes.address,
            "num_processes": processes.count,
            "process_id": processes.number,
            "local_device_ids": processes.local_devices,
            "cluster_detection_method": "deactivate",
        }
    try:
        jax.distributed.initialize(
            **given,  # type: ignore[arg-type]
            initialization_timeout=max(1, int(meet_s) - 5),  # it takes about 5 s more
            heartbeat_timeout_seconds=HEARTBEAT_S,
        )
    except Exception as error:
        where = f" at {processes.address}" if processes.address else ""
        raise UserError(f"the processes did not all meet{where} within {meet_s:g} s: {_first_line(error)}") from error
    state = jax._src.distributed.global_state  # JAX shows its store nowhere else
    Lifeline(state.client, count=state.num_processes, number=state.process_id)


def _reach(address: str, number: int, meet_s: float) -> None:
    """Waits for the coordinator, or as the coordinator makes sure that nobody else has its port."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if number == 0:
        try:
            with socket.create_server(("", int(port))):
                return
        except (OSError, OverflowError) as error:
            raise UserError(
                f"cannot wait for the other processes at {address}: {error}; give another port, or end what uses it"
            ) from error
    begun = time.monotonic()
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=5):
                return
        except socket.gaierror as error:
            problem = f"the name {host} cannot be resolved ({error.strerror})"
        except (OSError, OverflowError) as error:
            problem = f"nobody answers ({error})"
        if time.monotonic() - begun > meet_s:
            raise UserError(f"no process 0 at {address} within {meet_s:g} s: {problem}; is it running there?")
        with contextlib.suppress(InterruptedError):
            time.sleep(0.5)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\s+", " ", lines[0])[:300] if lines else type(error).__name__
