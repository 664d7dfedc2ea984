"""pipeline.json: what a workdir's stages are, for the report and for whoever reads it."""

import dataclasses
import json
import os
import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rft_jax import provenance
from rft_jax.config import PipelineConfig
from rft_jax.errors import UserError
from rft_jax.files import whole_file
from rft_jax.pipeline import models
from rft_jax.pipeline.expansion import expanded
from rft_jax.pipeline.replicates import Expanded, named_in

PLAN = "pipeline.json"


def describe(config: PipelineConfig) -> dict[str, Any]:
    """Returns the config as JSON values for the report, with the kind of each stage."""
    made = expanded(config)
    fields = dataclasses.asdict(made.config) | {"seeds": config.seeds, "controls": config.controls}
    fields["models"] = [f"{name}={folder}" for name, folder in models.named_folders(config.models).items()]
    fields["stages"] = [
        {"kind": type(stage).__name__.removesuffix("Stage").lower()}
        | dataclasses.asdict(stage)
        | {"base": made.base[stage.name], "replicate": made.number[stage.name]}
        for stage in made.config.stages
    ]
    fields["experiments"] = [
        dataclasses.asdict(each) | {"stages": _needed(made, each.stages)} for each in config.experiments
    ]
    return fields | _made_by()


def _needed(made: Expanded, names: Collection[str]) -> list[str]:
    """Returns the bases of stages and of all that these name, such as controls, in the order of the pipeline."""
    found = set(names)
    for stage in reversed(made.config.stages):
        if made.base[stage.name] in found:
            found |= {made.base.get(other, other) for other in named_in(stage)}
    return [base for base in dict.fromkeys(made.base.values()) if base in found]


def write(workdir: Path, described: dict[str, Any]) -> None:
    """Writes pipeline.json. Experiments that share a workdir share it too: those of before stay in it.

    Raises:
        UserError: those of before have other settings, so that one report on them would mix what does not belong.
    """
    before = _before(workdir) if described.get("experiments") else {}
    if before.get("experiments"):
        refuse_others(before, described, workdir)
        names = {stage["name"] for stage in described["stages"]}
        kept = [stage for stage in before["stages"] if stage["name"] not in names]
        new = {each["name"] for each in described["experiments"]}
        others = [each for each in before["experiments"] if each["name"] not in new]
        described = described | {
            "stages": [*kept, *described["stages"]],
            "experiments": [*others, *described["experiments"]],
        }
    with whole_file(workdir / PLAN) as file:
        file.write_text(json.dumps(described, indent=1) + "\n")


def refuse_others(before: dict[str, Any], described: dict[str, Any], workdir: Path) -> None:
    """Raises UserError if the experiments of a workdir have other settings than those that are to join them."""
    then, now = (_settings(plan) for plan in (before, described))
    if different := [f"{name} = {now.get(name)}, not {told}" for name, told in then.items() if now.get(name) != told]:
        names = ", ".join(each["name"] for each in before["experiments"])
        raise UserError(
            f"{workdir} has experiments ({names}) with other settings: {'; '.join(different)}; use another --workdir"
        )


def _settings(plan: dict[str, Any]) -> dict[str, Any]:
    """Returns what all experiments in a workdir have in common."""
    own = ("stages", "experiments", "seeds", "controls", provenance.FIELD)
    sizes = sorted({each["size"] for each in plan["experiments"]})
    common = {name: value for name, value in plan.items() if name not in own} | {"size": ", ".join(sizes)}
    return json.loads(json.dumps(common))  # lists for tuples, as in the file


def _before(workdir: Path) -> dict[str, Any]:
    """Returns the plan that a workdir has, or {}."""
    try:
        plan = json.loads((workdir / PLAN).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def _made_by() -> dict[str, object]:
    """Returns the software and the machine of the run, as a field of pipeline.json."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return {provenance.FIELD: provenance.software() | {"machine": machine}}
