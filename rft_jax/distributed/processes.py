"""Which of how many processes this one is, and where they meet: read from the environment, all of it or an error.

A process that was meant to be one of several must never run alone, and one that runs alone must not wait for others.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from rft_jax.errors import UserError

ADDRESS, COUNT, NUMBER = JAX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
_SLURM = "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"
# What JAX detects by itself: the variable that says how many there are, and the ones that it needs beside it.
_OPEN_MPI = "OMPI_COMM_WORLD_SIZE", ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_MCA_orte_hnp_uri")
_SLICES, _SLICE, _FIRST_SLICE = "MEGASCALE_NUM_SLICES", "MEGASCALE_SLICE_ID", "MEGASCALE_COORDINATOR_ADDRESS"
_PORTS = range(61440, 65536)  # above those that systems give away by themselves
_TPU_PORT = 8482  # JAX's own choice


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes of one run, as this one sees them.

    Attributes:
        count: how many there are, at least 2; None leaves it to JAX.
        number: which of them this is, from 0; None leaves it to JAX.
        address: host:port where process 0 waits for the others; None leaves it to JAX.
        local_devices: the GPUs of this host that are this process's; None: all that it sees.
    """

    count: int | None = None
    number: int | None = None
    address: str | None = None
    local_devices: tuple[int, ...] | None = None


def from_environment(environment: Mapping[str, str], gpus: int) -> Processes | None:
    """Returns the processes of this run, or None where this one runs alone.

    JAX's own variables say it, or those of a SLURM step, TPU slices on Kubernetes, or Open MPI; the first may be
    completed by the second and third. (TPU VMs set no variables: launch/tpu/worker.sh sets JAX's.)

    Args:
        environment: the variables.
        gpus: that this process sees on its host.

    Raises:
        UserError: they are incomplete, no numbers, or contradict each other.
    """
    given = {name: environment[name] for name in JAX if environment.get(name)}
    step, slices = _slurm_step(environment, gpus), _tpu_slices(environment)
    found = step or slices
    if not given:
        return found or _open_mpi(environment)
    if set(given) == {COUNT} and _number(COUNT, given[COUNT]) == 1:
        return found
    if found is not None:
        given = {ADDRESS: str(found.address), COUNT: str(found.count), NUMBER: str(found.number)} | given
    if missing := [name for name in JAX if name not in given]:
        there = [name for name in JAX if name in given]
        raise UserError(f"{_list(there)} set, but not {' and '.join(missing)}: give all three, or none to run alone")
    count, number = _number(COUNT, given[COUNT]), _number(NUMBER, given[NUMBER])
    if count < 1 or not 0 <= number < count:
        raise UserError(f"{NUMBER}={number} and {COUNT}={count}: processes are numbered from 0 to {COUNT} - 1")
    if not re.fullmatch(r".+:\d+", given[ADDRESS]):
        raise UserError(f"{ADDRESS}={given[ADDRESS]} is no host:port, such as node001:12345")
    if step is not None and (step.count, step.number) != (count, number):
        raise UserError(
            f"{COUNT}={count} and {NUMBER}={number}, but this is task {step.number} of a SLURM step of {step.count}: "
            "unset JAX's variables, or start the command without srun"
        )
    if slices is not None and (slices.count, slices.number) != (count, number):
        raise UserError(
            f"{COUNT}={count} and {NUMBER}={number}, but by the TPU's variables this is host {slices.number} of "
            f"{slices.count}: unset JAX's variables"
        )
    if count == 1:
        return None
    return Processes(count, number, given[ADDRESS], step.local_devices if step else None)


def visible_gpus(environment: Mapping[str, str]) -> int:
    """Returns how many GPUs a process would see, without waking them up."""
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return len([name for name in listed.split(",") if name.strip() not in ("", "-1")])
    return sum(re.fullmatch(r"nvidia\d+", file.name) is not None for file in Path("/dev").glob("nvidia*"))


def _slurm_step(environment: Mapping[str, str], gpus: int) -> Processes | None:
    tasks = environment.get("SLURM_STEP_NUM_TASKS")
    if not tasks or _number("SLURM_STEP_NUM_TASKS", tasks) == 1:
        return None
    if missing := [name for name in _SLURM if not environment.get(name)]:
        raise UserError(f"SLURM_STEP_NUM_TASKS={tasks}, but {_list(missing)} not set: start the command with srun")
    count, number, job, step, local = (
        _number(name, environment[name])
        for name in ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_LOCALID")
    )
    if not 0 <= number < count:
        raise UserError(f"SLURM_PROCID={number} and SLURM_STEP_NUM_TASKS={count}: tasks are numbered from 0")
    # Steps of one job run at once, and jobs on one host: neighbouring numbers give ports that are not neighbours.
    port = _PORTS[(job * 31 + step * 1009) % len(_PORTS)]
    here = _tasks_here(environment, count)
    # JAX would give task i GPU i, though a task that is alone on its host is to have all. Where SLURM has given each
    # task GPUs of its own, it sees fewer than the node's, and they are all for it.
    own = bool(environment.get("SLURM_GPUS_PER_TASK")) or gpus < _number(
        "SLURM_GPUS_ON_NODE", environment.get("SLURM_GPUS_ON_NODE") or "0"
    )
    shared = 1 < here <= gpus and not own and environment.get("JAX_PLATFORMS") != "cpu"
    if shared and gpus % here:
        raise UserError(
            f"{here} tasks of a SLURM step cannot share this host's {gpus} GPUs evenly: give a number of tasks that "
            "divides them, or --gpus-per-task"
        )
    each = gpus // here
    devices = tuple(range(local * each, (local + 1) * each)) if shared else None
    return Processes(count, number, f"{_first_host(environment['SLURM_STEP_NODELIST'])}:{port}", devices)


def _tasks_here(environment: Mapping[str, str], count: int) -> int:
    """Returns how many tasks of the step run on this host; SLURM writes 2(x3),1 for hosts of 2, 2, 2 and 1."""
    each: list[int] = []
    for part in environment.get("SLURM_STEP_TASKS_PER_NODE", "").split(","):
        if match := re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part):
            each += [int(match[1])] * int(match[2] or 1)
    node = environment.get("SLURM_NODEID", "")
    if sum(each) != count or not node.isdecimal() or int(node) >= len(each):
        raise UserError(
            f"SLURM_STEP_TASKS_PER_NODE={environment.get('SLURM_STEP_TASKS_PER_NODE')} and SLURM_NODEID={node} do not "
            f"say how many of the {count} tasks run on this host: start the command with srun"
        )
    return each[int(node)]


def _first_host(hosts: str) -> str:
    """Returns node001 of node[001-015,020],other."""
    match = re.match(r"([^,\[]+)(?:\[([^,\-\]]+)[^\]]*\]([^,]*))?", hosts)
    if match is None:
        raise UserError(f"SLURM_STEP_NODELIST={hosts} names no host")
    return "".join(part or "" for part in match.groups())


def _tpu_slices(environment: Mapping[str, str]) -> Processes | None:
    """Returns what Kubernetes says of TPU slices: by TPU_* of the hosts of one, by MEGASCALE_* of several slices.

    Host i of slice s is process s × hosts + i, and process 0 is waited for at JAX's own port, as JAX would do it.
    """
    listing = "TPU_PROCESS_ADDRESSES" if environment.get("TPU_PROCESS_ADDRESSES") else "TPU_WORKER_HOSTNAMES"
    hosts = environment.get(listing, "").split(",")
    slices = _number(_SLICES, environment.get(_SLICES) or "1")
    if slices > 1 or any(environment.get(name) for name in (_SLICE, _FIRST_SLICE)):
        _all_or_none(environment, _SLICES, _SLICE, _FIRST_SLICE, "TPU_WORKER_ID", listing)
    elif hosts != [""] or environment.get("TPU_WORKER_ID"):
        _all_or_none(environment, "TPU_WORKER_ID", listing)
    number = _number("TPU_WORKER_ID", environment.get("TPU_WORKER_ID") or "0")
    if not 0 <= number < len(hosts):
        raise UserError(f"TPU_WORKER_ID={number}, but {listing} names {len(hosts)} hosts")
    slice_number = _number(_SLICE, environment.get(_SLICE) or "0")
    if not 0 <= slice_number < slices:
        raise UserError(f"{_SLICE}={slice_number} and {_SLICES}={slices}: slices are numbered from 0")
    if slices * len(hosts) == 1:
        return None
    first = (environment.get(_FIRST_SLICE) or hosts[0]).split(":")[0]
    port = _number("JAX_COORDINATOR_PORT", environment.get("JAX_COORDINATOR_PORT") or str(_TPU_PORT))
    return Processes(slices * len(hosts), slice_number * len(hosts) + number, f"{first}:{port}")


def _all_or_none(environment: Mapping[str, str], *names: str) -> None:
    there = [name for name in names if environment.get(name)]
    if missing := [name for name in names if name not in there]:
        raise UserError(f"{_list(there)} set, but not {' and '.join(missing)}: set them all, or none to run alone")


def _open_mpi(environment: Mapping[str, str]) -> Processes | None:
    count, needed = _OPEN_MPI
    if _number(count, environment.get(count) or "1") <= 1:
        return None
    if missing := [name for name in needed if not environment.get(name)]:
        raise UserError(f"{count}={environment[count]}, but {_list(missing)} not set: start it by mpirun")
    return Processes()


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"-?\d+", text.strip(), re.ASCII):
        raise UserError(f"{name}={text or '(not set)'} is no number")
    return int(text)


def _list(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
