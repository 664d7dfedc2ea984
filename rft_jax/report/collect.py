"""Everything the stages left in a workdir, found by what it is, not by name: hand-made workdirs work as well."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records import manifest
from rft_jax.records.path import Path as SampledPath
from rft_jax.records.path import read_paths
from rft_jax.records.problem import Problem, read_problems
from rft_jax.select.criteria import Criteria, criteria
from rft_jax.task import task as tasks
from rft_jax.task.task import DEFAULT

_SKIP = ("stale", "report")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What evaluate left: `metrics` is its metrics.json."""

    name: str
    metrics: dict[str, Any]

    @property
    def grader(self) -> str:
        """The grader that decides; before there were tasks, the reference's."""
        return str(self.metrics.get("grader", "reference"))

    @property
    def measures(self) -> dict[str, dict[str, float]]:
        """The measures by that grader, each with its interval."""
        measures: dict[str, dict[str, float]] = self.metrics["graders"][self.grader]
        return measures


@dataclasses.dataclass(frozen=True)
class Selection:
    """What select left: `statistics` is its .stats.json, `file` the training set."""

    name: str
    statistics: dict[str, Any]
    file: Path


@dataclasses.dataclass(frozen=True)
class Training:
    """What train left: the loss of each step."""

    name: str
    losses: list[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What sample left: `manifest` is its settings, `folder` holds the paths."""

    name: str
    manifest: dict[str, Any]
    folder: Path

    def paths(self) -> Iterator[SampledPath]:
        """Yields the paths, by problem within each file."""
        for file in sorted(self.folder.glob("*.jsonl")):
            yield from read_paths(file)


@dataclasses.dataclass(frozen=True)
class Workdir:
    """A run.

    Attributes:
        folder: of the run.
        plan: pipeline.json, or {} for stages run by hand.
        records: stage -> its stage.json.
        evaluations, selections, trainings, samplings: in the order of the plan, else by name.
        problems: the training problems, or None where they are not to be found.
    """

    folder: Path
    plan: dict[str, Any]
    records: dict[str, dict[str, Any]]
    evaluations: list[Evaluation]
    selections: list[Selection]
    trainings: list[Training]
    samplings: list[Sampling]
    problems: list[Problem] | None

    def stage(self, name: str) -> dict[str, Any]:
        """Returns the plan's settings of a stage, {} if it has none."""
        return next((stage for stage in self.plan.get("stages", ()) if stage["name"] == name), {})


def criteria_of(selection: Selection | None) -> Criteria:
    """Returns what decided in a selection; without one, the default task's."""
    told = selection.statistics.get("criteria") if selection else None
    if told is None:
        return criteria(DEFAULT, grader=None, audits=None, rules="paper")
    return Criteria(told["task"], tuple(told["graders"]), told["rules"])


def collect(folder: Path) -> Workdir:
    """Returns what a workdir holds.

    Raises:
        UserError: there is no such folder, nothing to report in it, a file that cannot be read, or paths of other
            problems.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}: give the --workdir of a pipeline")
    plan = _read(folder / "pipeline.json") if (folder / "pipeline.json").is_file() else {}
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in _SKIP)
    order = [stage["name"] for stage in plan.get("stages", ())]
    names = [name for name in order if name in names] + [name for name in names if name not in order]
    found = Workdir(folder, plan, {}, [], [], [], [], _problems(folder, plan))
    for name in names:
        place = folder / name
        if (place / "stage.json").is_file():
            found.records[name] = _read(place / "stage.json")
        if (place / "metrics.json").is_file():
            found.evaluations.append(Evaluation(name, _read(place / "metrics.json")))
        elif (place / "paths" / "manifest.json").is_file():
            settings = _read(place / "paths" / "manifest.json")
            if settings.get("temperature") != 0:  # greedy ones are an evaluation that was not finished
                found.samplings.append(Sampling(name, settings, place / "paths"))
        if (place / "metrics.jsonl").is_file():
            found.trainings.append(Training(name, _losses(place / "metrics.jsonl")))
        for statistics in sorted(place.glob("*.stats.json")):
            file = statistics.with_name(statistics.name.removesuffix(".stats.json"))
            found.selections.append(Selection(name, _read(statistics), file))
    if found.problems is not None:
        for sampling in found.samplings:
            manifest.check(sorted(sampling.folder.glob("*.jsonl")), found.problems, str(plan["problems"]))
    if not (found.evaluations or found.selections or found.trainings or found.samplings):
        raise UserError(f"nothing to report in {folder}: no evaluation, selection, training or samples in its folders")
    return found


def _problems(folder: Path, plan: dict[str, Any]) -> list[Problem] | None:
    source = plan.get("problems")
    reader = tasks.load(plan.get("task", tasks.DEFAULT)).reader
    for place in (folder / str(source), Path(str(source))):
        if source and place.is_file():
            return read_problems(place, reader)
    return read_problems(source, reader) if source and source.startswith("hf:") else None


def _read(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise UserError(f"{file} holds no JSON object")
    return fields


def _losses(file: Path) -> list[tuple[int, float]]:
    losses = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            fields = json.loads(line)
            losses.append((int(fields["step"]), float(fields["loss"])))
        except (ValueError, KeyError, TypeError):
            continue  # a line that a kill cut short
    return losses
