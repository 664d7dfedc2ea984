"""All checks, in order, within a minute; the processes of a run go through them together."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from rft_jax import runtime
from rft_jax.config import MeshConfig, TrainConfig
from rft_jax.distributed import agreement
from rft_jax.doctor import check, fit, folders, links, machines, plans
from rft_jax.doctor.check import Check, Finding, Level, ProcessError
from rft_jax.errors import UserError
from rft_jax.pipeline.estimate import storage

_SECONDS = 35.0  # for all checks; the imports and the meeting of the processes come before
_TIGHT = 0.85  # of the memory: above this only the compiler knows
_FEW_ROWS = 16


def examine(config: plans.Config | None, workdir: Path | None) -> list[tuple[str, Finding]]:
    """Returns the names and findings of all checks, the same on all processes.

    Args:
        config: of what is to be run, or None for what needs none.
        workdir: where it is to write, or None.
    """
    end = time.monotonic() + _SECONDS
    found: list[tuple[str, Finding]] = []

    def run(*checks: Check) -> bool:
        new = [(each.name, each.run(lambda: end - time.monotonic())) for each in checks]
        found.extend(new)
        return all(finding.level is not Level.FAILED for _, finding in new)

    planned: list[plans.Plan] = []
    run(machines.software(), machines.all_processes(), machines.devices())
    if not run(settings(config, workdir, planned)):
        return found  # what follows is about what is to be run
    plan = planned[0] if planned else None
    laid_out = run(machines.mesh({job.name: job.config.mesh for job in plan.jobs} if plan else {"": MeshConfig()}))
    run(links.collective())
    place = None if workdir is None else folders.Workdir(workdir, jax.process_index())
    if place is not None:
        if run(place.writes()):
            run(place.shared())
        check.answer(place.clean, 2.0)
    run(links.clocks({} if place is None else place.clock))
    if plan is not None and run(folders.inputs(plan.inputs)):
        if place is not None:
            run(place.room(plan.disk))
        if laid_out:
            run(memory(plan.jobs))
    return found


def settings(config: plans.Config | None, workdir: Path | None, planned: list[plans.Plan]) -> Check:
    """The config makes sense, and is the same on all processes; `planned` receives what it means."""
    kind = "none: what depends on it is left out" if config is None else type(config).__name__

    def find() -> dict[str, str]:
        told = {"--config": kind, "--workdir": str(workdir)}
        if config is None:
            return told
        planned.append(plans.of(config, workdir, on_cpu=jax.default_backend() == "cpu"))
        return told | {name: repr(value) for name, value in agreement.settings(config).items()}

    def judge(found: Sequence[Any]) -> Finding:
        for number, other in enumerate(found):
            for name, value in other.items():
                if value != found[0].get(name):
                    raise ProcessError(number, f"another {name} than process 0: {value}, not {found[0].get(name)}")
        return Finding(Level.OK, kind)

    return Check("config", find, judge, "mend the config, and start all processes with the same command")


def memory(jobs: Sequence[plans.Job]) -> Check:
    """That the devices can hold what each job needs."""

    def find() -> list[dict[str, Any]]:
        return [_need(job) for job in jobs]

    def judge(found: Sequence[Any]) -> Finding:
        worst = max(found[0], key=lambda each: each["state"] + each["step"])
        name = f"{worst['name']}: " if worst["name"] else ""
        said = (
            f"{name}{storage(worst['state'])} of weights and other state per device, and about "
            f"{storage(worst['step'])} while it computes"
        )
        if math.isnan(worst["memory"]):
            unknown = "compare that with the device's memory, which JAX does not tell"
            return Finding(Level.WARNING, f"{said}: unknown how much the device has", unknown)
        said += f", of {storage(worst['memory'])}"
        full = (worst["state"] + worst["step"]) / worst["memory"]
        if worst["rows"] is None:
            smaller = "raise --config.mesh.fsdp or use more devices; --config.accumulation and --config.remat=full save"
            exact = "launch/plan.py compiles the step and tells exactly"
        else:
            smaller = "raise --config.mesh.tensor, or lower --config.max_new_tokens"
            said += f": room for {worst['rows']:,} responses of full length"
            exact = f"few responses at once are slow: {smaller}"
        if full > 1:
            return Finding(Level.FAILED, f"{said}: too much", smaller)
        if full > _TIGHT or (worst["rows"] is not None and worst["rows"] < _FEW_ROWS):
            return Finding(Level.WARNING, f"{said}: tight", exact)
        return Finding(Level.OK, said)

    return Check("memory", find, judge, "mend what it names", 15.0)


def _need(job: plans.Job) -> dict[str, Any]:
    layout = job.config.mesh
    mesh = runtime.make_mesh(layout.data, layout.fsdp, layout.tensor)
    architecture, lengths, has = job.architecture(), job.lengths(), fit.device_memory()
    if isinstance(job.config, TrainConfig):
        need = fit.training(job.config, architecture, mesh, lengths)
    else:
        need = fit.sampling(job.config, architecture, mesh, lengths, has)
    return {"name": job.name, "state": need.state, "step": need.step, "rows": need.rows, "memory": has}


def refuse(findings: Sequence[tuple[str, Finding]]) -> None:
    """Raises UserError if a check failed."""
    failed = [name for name, finding in findings if finding.level is Level.FAILED]
    if failed:
        raise UserError(f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}")
