"""Everything the stages left in a workdir, recognised by contents, not by name: workdirs made by hand work too."""

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.evaluate.outcome import read_results
from rft_jax.records import manifest
from rft_jax.records.path import Path as SampledPath
from rft_jax.records.path import read_paths
from rft_jax.records.problem import Problem, read_problems
from rft_jax.remote.address import is_remote
from rft_jax.select.criteria import Criteria, criteria
from rft_jax.task import task as tasks
from rft_jax.task.task import DEFAULT

_SKIP = ("stale", "report")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation: `metrics` is the metrics.json in its folder."""

    name: str
    metrics: dict[str, Any]
    folder: Path

    @property
    def grader(self) -> str:
        """The grader that decides."""
        return str(self.metrics["grader"])

    @property
    def measures(self) -> dict[str, dict[str, float]]:
        """That grader's measures, each with its interval."""
        measures: dict[str, dict[str, float]] = self.metrics["graders"][self.grader]
        return measures

    @functools.cached_property
    def results(self) -> list[dict[str, Any]]:
        """What is known of each problem, from results.jsonl.

        Raises:
            UserError: that is missing or damaged.
        """
        more = ("cluster",) if self.metrics.get("cluster") else ()
        return read_results(self.folder, self.metrics["count"], (*self.metrics["graders"], *more))


@dataclasses.dataclass(frozen=True)
class Selection:
    """A selection: `statistics` is its .stats.json, `file` the training set."""

    name: str
    statistics: dict[str, Any]
    file: Path


@dataclasses.dataclass(frozen=True)
class Training:
    """A training run: `losses` are pairs of step and loss."""

    name: str
    losses: list[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Sampled paths: `manifest` holds the settings, `folder` the path files."""

    name: str
    manifest: dict[str, Any]
    folder: Path

    def paths(self, problems: int | None = None) -> Iterator[SampledPath]:
        """Yields the paths, file by file; `problems` is how many there are, None if unknown."""
        for file in sorted(self.folder.glob("*.jsonl")):
            yield from read_paths(file, problems)


@dataclasses.dataclass(frozen=True)
class Workdir:
    """A run.

    Attributes:
        folder: folder of the run.
        plan: pipeline.json, or {} for stages run by hand.
        records: maps a stage to its stage.json.
        evaluations, selections, trainings, samplings: in the order of the plan, else by name.
        problems: the training problems, or None if they cannot be found; with several seeds, the first one's.
    """

    folder: Path
    plan: dict[str, Any]
    records: dict[str, dict[str, Any]]
    evaluations: list[Evaluation]
    selections: list[Selection]
    trainings: list[Training]
    samplings: list[Sampling]
    problems: list[Problem] | None

    def by_problems(self) -> "list[tuple[str, Workdir]]":
        """Returns the run once for each set of problems that it was evaluated on, with a name; "" if there is only one.

        Accuracies on different problems do not belong beside each other.
        """
        sets: dict[tuple[str, int], list[Evaluation]] = {}
        for each in self.evaluations:
            asked = each.metrics.get("fingerprint", each.metrics["problems"])  # those of before have none
            sets.setdefault((asked, each.metrics["count"]), []).append(each)
        if len(sets) < 2:
            return [("", self)]
        parts = []
        for (_, count), found in sets.items():
            name = f"{short(found[0].metrics['problems'])}, {count:,} problems"
            parts.append((name, dataclasses.replace(self, evaluations=found)))
        return parts

    def problems_of(self, stage: str) -> list[Problem] | None:
        """Returns the training problems of a stage's seed, or None if they cannot be found.

        Raises:
            UserError: the file cannot be read.
        """
        source = self.source_of(stage)
        return self.problems if source == str(self.plan.get("problems")) else _problems(self.folder, self.plan, source)

    def source_of(self, stage: str) -> str:
        """Returns where a stage's training problems are: those of its seed, if each has its own."""
        source = str(self.plan.get("problems"))
        maker, slash, file = source.partition("/")
        replicate = self.stage(stage).get("replicate")
        own = ((each.get("base"), each.get("replicate"), each["name"]) for each in self.plan.get("stages", ()))
        name = next((name for base, number, name in own if (base, number) == (maker, replicate)), maker)
        return f"{name}{slash}{file}"

    @property
    def training_sets(self) -> list[Selection]:
        """The selections from samples of the training problems, not from those that voted on the test problems."""
        voting = {stage["name"] for stage in self.plan.get("stages", ()) if stage["kind"] == "evaluate"}
        return [each for each in self.selections if not voting & set(self.stage(each.name).get("paths", ()))]

    def stage(self, name: str) -> dict[str, Any]:
        """Returns a stage's entry in the plan, or {}."""
        return next((stage for stage in self.plan.get("stages", ()) if stage["name"] == name), {})


def short(problems: str) -> str:
    """Returns the end of a path by which its reader knows it: `world/test.jsonl`."""
    return problems if problems.startswith("hf:") else "/".join(Path(problems).parts[-2:])


def criteria_of(selection: Selection | None) -> Criteria:
    """Returns the criteria of a selection, or without one those of the default task."""
    recorded = selection.statistics.get("criteria") if selection else None
    if recorded is None:
        return criteria(DEFAULT, grader=None, audits=None, rules="paper")
    return Criteria(recorded["task"], tuple(recorded["graders"]), recorded["rules"])


def collect(folder: Path) -> Workdir:
    """Returns what a workdir holds.

    Raises:
        UserError: the folder does not exist or holds nothing to report, a file in it cannot be read, or its paths
            belong to other problems.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}: give the --workdir of a pipeline")
    plan = read_object(folder / "pipeline.json") if (folder / "pipeline.json").is_file() else {}
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in _SKIP)
    order = [stage["name"] for stage in plan.get("stages", ())]
    names = [name for name in order if name in names] + [name for name in names if name not in order]
    found = Workdir(folder, plan, {}, [], [], [], [], _problems(folder, plan, plan.get("problems")))
    for name in names:
        stage = folder / name
        if (stage / "stage.json").is_file():
            found.records[name] = read_object(stage / "stage.json")
        if (stage / "metrics.json").is_file():
            found.evaluations.append(Evaluation(name, read_object(stage / "metrics.json"), stage))
        elif (stage / "paths" / "manifest.json").is_file():
            settings = read_object(stage / "paths" / "manifest.json")
            if settings.get("temperature") != 0:  # greedy paths alone are an unfinished evaluation
                found.samplings.append(Sampling(name, settings, stage / "paths"))
        if (stage / "metrics.jsonl").is_file():
            found.trainings.append(Training(name, _losses(stage / "metrics.jsonl")))
        for statistics in sorted(stage.glob("*.stats.json")):
            file = statistics.with_name(statistics.name.removesuffix(".stats.json"))
            found.selections.append(Selection(name, read_object(statistics), file))
    for sampling in found.samplings:
        if (problems := found.problems_of(sampling.name)) is not None:
            manifest.check(sorted(sampling.folder.glob("*.jsonl")), problems, found.source_of(sampling.name))
    if not (found.evaluations or found.selections or found.trainings or found.samplings):
        raise UserError(
            f"nothing to report in {folder}: no evaluation, selection, training run or paths in its folders"
        )
    return found


def _problems(folder: Path, plan: dict[str, Any], source: str | None) -> list[Problem] | None:
    reader = tasks.load(plan.get("task", tasks.DEFAULT)).reader
    for file in (folder / str(source), Path(str(source))):
        if source and file.is_file():
            return read_problems(file, reader)
    return read_problems(source, reader) if source and (source.startswith("hf:") or is_remote(source)) else None


def read_object(file: Path) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Raises:
        UserError: it holds none.
    """
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
            continue  # cut short by a kill
    return losses
