"""Turns a config into the stages' commands."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never, get_args

from rft_jax import names, ranges
from rft_jax.config import (
    GOLD,
    ContaminationStage,
    DrawStage,
    EvaluateStage,
    LossStage,
    PipelineConfig,
    RoundStage,
    SampleStage,
    SelectStage,
    StageConfig,
    TrainStage,
    WorldStage,
)
from rft_jax.data.fraction import in_use
from rft_jax.errors import UserError, did_you_mean
from rft_jax.pipeline import models, own_files, sources, stage_settings
from rft_jax.pipeline.expansion import expanded
from rft_jax.pipeline.sources import Source
from rft_jax.pipeline.stage import RECORD, Reads, Stage
from rft_jax.records.lines import with_infix
from rft_jax.records.problem import read_problems
from rft_jax.rounds.record import FILE as ROUND
from rft_jax.sample import budgets
from rft_jax.select import rules
from rft_jax.task import task as tasks
from rft_jax.world.fresh import STANDARD, too_many

CONFIG_FILE = "the config file"
SELECTED = "selected.jsonl"
LOSS = "loss.json"


def stages(config: PipelineConfig, workdir: Path) -> list[Stage]:
    """Returns the stages of a config, ending with the report.

    Raises:
        UserError: a name is unknown, duplicated or not allowed, or a stage's settings are wrong.
    """
    return _Recipe(config, workdir).stages()


class _Recipe:
    """What the stages need to know about each other while they are made."""

    def __init__(self, config: PipelineConfig, workdir: Path) -> None:
        for stage in config.stages:
            if not isinstance(stage, StageConfig):
                kinds = ", ".join(kind.__name__ for kind in get_args(StageConfig))
                raise UserError(f"a stage of the config is a {type(stage).__name__}, not one of {kinds}")
        ranges.check(config)
        self._replicates = expanded(config)
        config = self._replicates.config
        self._config, self._workdir = config, workdir
        self._models = models.named_folders(config.models)
        self._reader = tasks.load(config.task).reader
        self._known: dict[str, StageConfig] = {}
        for stage in config.stages:
            if not stage.name.strip(".") or not all(letter.isalnum() or letter in "-_." for letter in stage.name):
                raise UserError(f"stage name '{stage.name}': use letters, digits, '-', '_' and '.'")
            if stage.name in self._known or stage.name in self._models or stage.name in (GOLD, "report", "stale"):
                raise UserError(f"two models or stages are named '{stage.name}'")
            self._known[stage.name] = stage
        if not config.stages:
            raise UserError("the config has no stages")

    def stages(self) -> list[Stage]:
        made = []
        for stage in self._config.stages:
            stage_settings.check(self._config, stage)
            match stage:
                case WorldStage():
                    made.append(self._world(stage))
                case DrawStage():
                    made.append(self._draw(stage))
                case ContaminationStage():
                    made.append(self._contamination(stage))
                case TrainStage():
                    made.append(self._train(stage))
                case SampleStage():
                    made.append(self._sample(stage))
                case SelectStage():
                    made.append(self._select(stage))
                case EvaluateStage():
                    made.append(self._evaluate(stage))
                case LossStage():
                    made.append(self._loss(stage))
                case RoundStage():
                    made.append(self._round(stage))
                case _:
                    assert_never(stage)
        return [*made, self._report(made)]

    def _world(self, stage: WorldStage) -> Stage:
        if stage.test > STANDARD:
            raise UserError(f"stage {stage.name}: {too_many(stage.test)}")
        return Stage(
            name=stage.name,
            kind="world",
            script="launch/make_problems.py",
            flags=(
                f"--train={stage.train}",
                f"--test={stage.test}",
                f"--seed={stage.seed}",
                *((f"--corpus={stage.corpus}",) if stage.corpus else ()),
                *((f"--fresh={stage.fresh}",) if stage.fresh else ()),
                *((f"--variants={stage.variants}", f"--templates={stage.templates}") if stage.variants else ()),
                *((f"--fresh_seed={stage.fresh_seed}",) if stage.fresh or stage.variants else ()),
            ),
            reads={},
            after=(),
            locations={"--output": str(self._workdir / stage.name)},
            output=tuple(stage.files),
        )

    def _draw(self, stage: DrawStage) -> Stage:
        (train, train_after), (test, test_after) = self.problems(stage.train), self.problems(stage.test)
        return Stage(
            name=stage.name,
            kind="draw",
            script="launch/draw_problems.py",
            flags=(
                f"--fraction={stage.fraction}",
                f"--test_fraction={stage.test_fraction}",
                f"--seed={stage.seed}",
            ),
            reads={"--train": train, "--test": test},
            after=tuple(dict.fromkeys(train_after + test_after)),
            locations={"--output": str(self._workdir / stage.name)},
            output=("train.jsonl", "test.jsonl"),
        )

    def _contamination(self, stage: ContaminationStage) -> Stage:
        train, train_after = self.problems(self._config.problems, stage)
        test, test_after = self.problems(self._config.test, stage)
        corpus: dict[str, Reads] = {"--corpus": stage.corpus} if stage.corpus else {}
        return Stage(
            name=stage.name,
            kind="contamination",
            script="launch/contamination.py",
            flags=(f"--task={self._config.task}",),
            reads={"--train": train, "--test": test, **corpus, **own_files.task(self._config.task)},
            after=tuple(dict.fromkeys(train_after + test_after)),
            locations={"--output": str(self._workdir / stage.name)},
            output=("contamination.json", "pairs.jsonl"),
        )

    def _train(self, stage: TrainStage) -> Stage:
        model, after = self._model(stage.model, stage)
        data, data_after = self._data(stage)
        if stage.steps_of:
            self._earlier(stage.steps_of, stage, TrainStage)
        reference = stage.config or self._config.train
        return Stage(
            name=stage.name,
            kind="train",
            script="launch/train.py",
            flags=_flags(reference, stage_settings.of_training(self._config, stage)),
            reads={
                "--config.model": model,
                "--config.data": data,
                CONFIG_FILE: stage_settings.config_file(reference),
                **own_files.asked_by(stage_settings.training(self._config, stage)),
            },
            after=after + data_after + ((stage.steps_of,) if stage.steps_of else ()),
            locations={"--workdir": str(self._workdir / stage.name)},
            output=("model",),
            late=lambda: (f"--config.epochs={self._passes(stage)}",) if stage.steps_of else (),
        )

    def _sample(self, stage: SampleStage) -> Stage:
        made = stage_settings.sampling(self._config, stage)
        model, after = self._model(stage.model, stage)
        problems, problems_after = self.problems(self._config.problems, stage)
        return Stage(
            name=stage.name,
            kind="sample",
            script="launch/sample.py",
            flags=_flags(self._config.sample, stage_settings.of_sampling(self._config, stage)),
            reads={
                "--config.model": model,
                "--config.problems": problems,
                CONFIG_FILE: stage_settings.config_file(self._config.sample),
                **own_files.asked_by(made),
                **({} if budgets.is_uniform(made) else own_files.graders(made.task or "", None, ())),
            },
            after=after + problems_after,
            locations={"--workdir": str(self._workdir / stage.name)},
            output=("paths",),
            growing="--config.k",
        )

    def _select(self, stage: SelectStage) -> Stage:
        if not stage.paths:
            raise UserError(f"stage {stage.name} has no paths to select from")
        found = [self._sampled(name, stage) for name in stage.paths]
        samples = [stage_settings.samples(self._config, each.stage) for each in found]
        stage_settings.check_samples(stage, dict(zip(stage.paths, samples, strict=True)))
        voted = [each for name in stage.paths if isinstance(each := self._known[name], EvaluateStage)]
        if 0 < len(voted) < len(stage.paths):
            raise UserError(f"stage {stage.name} selects from paths of training problems and of test problems")
        if len({self._tested(each) for each in voted}) > 1:
            raise UserError(f"stage {stage.name} selects from paths of different test problems")
        problems, problems_after = self.problems(found[0].problems, stage)
        try:
            rules.load(stage.rules)
        except UserError as error:
            raise UserError(f"stage {stage.name}: {error}") from error
        for name in stage.unless:
            self._earlier(name, stage, RoundStage)
        sources.check_unless(self._config, stage, self._known)
        own_rule: dict[str, Reads] = {"the rule": stage.rules} if stage.rules.endswith(".py") else {}
        ks = (f"--k={','.join(map(str, stage.ks))}",) if stage.ks else ()
        cap = (f"--cap={stage.cap}",) if stage.cap else ()
        return Stage(
            name=stage.name,
            kind="select",
            script="launch/select_paths.py",
            flags=(f"--task={self._config.task}", f"--rules={stage.rules}", *ks, *cap),
            reads={
                "--problems": problems,
                "--paths": tuple(each.pattern for each in found),
                **own_rule,
                **own_files.judging(self._config.task),
            },
            after=problems_after + stage.paths,
            locations={"--output": str(self._workdir / stage.name / SELECTED)},
            output=(SELECTED, f"{SELECTED}.stats.json"),
            unless=stage.unless,
        )

    def _round(self, stage: RoundStage) -> Stage:
        source = self._sampled(stage.paths, stage)
        before = [self._earlier(name, stage, RoundStage) for name in (stage.previous,) if name]
        compared = [self._sampled(each.paths, each) for each in before if isinstance(each, RoundStage)]
        sources.check_round(self._config, stage, source, compared[0] if compared else None)
        problems, after = self.problems(source.problems, stage)
        return Stage(
            name=stage.name,
            kind="round",
            script="launch/check_round.py",
            flags=(f"--task={self._config.task}",),
            reads={
                "--problems": problems,
                "--paths": (source.pattern,),
                **({"--previous": str(self._workdir / before[0].name / ROUND)} if before else {}),
                **own_files.judging(self._config.task),
            },
            after=(*after, stage.paths, *(each.name for each in before)),
            locations={"--output": str(self._workdir / stage.name / ROUND)},
            output=(ROUND,),
        )

    def _sampled(self, name: str, stage: SelectStage | RoundStage) -> Source:
        kind = EvaluateStage if isinstance(self._known.get(name), EvaluateStage) else SampleStage
        return Source.of(self._earlier(name, stage, kind), self._config, self._workdir)

    def _evaluate(self, stage: EvaluateStage) -> Stage:
        model, after = self._model(stage.model, stage)
        problems, problems_after = self.problems(self._tested(stage), stage)
        made = stage_settings.evaluation(self._config, stage)
        for name in stage.against:
            other = self._earlier(name, stage, EvaluateStage)
            assert isinstance(other, EvaluateStage)
            if self._tested(other) != self._tested(stage):
                raise UserError(
                    f"stage {stage.name}, on {self._tested(stage)}, cannot be compared with {name}, which is on "
                    f"{self._tested(other)}"
                )
        reads: dict[str, Reads] = {
            "--config.model": model,
            "--config.problems": problems,
            CONFIG_FILE: stage_settings.config_file(self._config.evaluate),
            **own_files.asked_by(made),
            **own_files.graders(
                tasks.Reference.parse(made.task or "").name or self._config.task, made.grader, made.audit
            ),
        }
        locations = {"--workdir": str(self._workdir / stage.name)}
        if stage.against:
            locations["--config.against"] = names.join_list(str(self._workdir / name) for name in stage.against)
            reads["the other results"] = tuple(self._pattern(name, "results.jsonl") for name in stage.against)
        return Stage(
            name=stage.name,
            kind="evaluate",
            script="launch/evaluate.py",
            flags=_flags(self._config.evaluate, stage_settings.of_evaluation(self._config, stage)),
            reads=reads,
            after=after + problems_after + stage.against,
            locations=locations,
            output=("metrics.json", "results.jsonl"),
        )

    def _loss(self, stage: LossStage) -> Stage:
        model, after = self._model(stage.model, stage)
        text, text_after = self.problems(stage.text, stage)
        if stage.field and stage.task:
            raise UserError(f"stage {stage.name} has a field and a task, which says itself what it reads: give one")
        given = {"field": stage.field, "task": stage.task}
        return Stage(
            name=stage.name,
            kind="loss",
            script="launch/loss.py",
            flags=tuple(f"--{flag}={value}" for flag, value in given.items() if value),
            reads={"--model": model, "the text": text, **(own_files.task(stage.task) if stage.task else {})},
            after=after + text_after,
            locations={"--text": names.join_list([text]), "--output": str(self._workdir / stage.name / LOSS)},
            output=(LOSS,),
        )

    def _tested(self, stage: EvaluateStage) -> str:
        return stage.problems or self._config.test

    def _report(self, made: list[Stage]) -> Stage:
        return Stage(
            name="report",
            kind="report",
            script="launch/report.py",
            flags=(),
            reads={"the stages": tuple(self._pattern(stage.name, RECORD) for stage in made)},
            after=tuple(stage.name for stage in made),
            locations={"--workdir": str(self._workdir)},
            output=("../report.html",),
        )

    def _pattern(self, *parts: str) -> str:
        """Returns a pattern that matches only this path in the workdir, whatever characters its name has."""
        return glob.escape(str(self._workdir.joinpath(*parts)))

    def _model(self, name: str, stage: StageConfig) -> tuple[str, tuple[str, ...]]:
        if name in self._models:
            return self._models[name], ()
        self._earlier(name, stage, TrainStage, *self._models)
        return str(self._workdir / name / "model"), (name,)

    def _data(self, stage: TrainStage) -> tuple[str, tuple[str, ...]]:
        if stage.data == GOLD:
            return self.problems(self._config.problems, stage)
        made, after = self.problems(stage.data, stage)
        if after:
            return made, after
        selected = self._earlier(stage.data, stage, SelectStage, GOLD)
        assert isinstance(selected, SelectStage)
        file = self._workdir / stage.data / SELECTED
        if stage.k is not None:
            if stage.k not in selected.ks:
                raise UserError(f"stage {stage.name} needs k = {stage.k} of {stage.data}, whose ks are {selected.ks}")
            file = with_infix(file, f"k{stage.k}")
        return str(file), (stage.data,)

    def problems(self, source: str, stage: StageConfig | None = None) -> tuple[str, tuple[str, ...]]:
        """Returns where a stage's problems are, and what makes them, if any (`world` for `world/train.jsonl`)."""
        name, _, file = source.partition("/")
        if stage is not None:
            name = self._replicates.of(name, self._replicates.number[stage.name])
        maker = self._known.get(name)
        if isinstance(maker, WorldStage) and file and file not in maker.files:
            raise UserError(f"stage {name} makes no {file}{did_you_mean(file, maker.files)}: {', '.join(maker.files)}")
        if isinstance(maker, WorldStage | DrawStage) and file:
            return str(self._workdir / name / file), (name,)
        return source, ()

    def _earlier(self, name: str, stage: StageConfig, kind: type[StageConfig], *others: str) -> StageConfig:
        order = list(self._known)
        fit = [known for known in order[: order.index(stage.name)] if isinstance(self._known[known], kind)]
        if name not in fit:
            raise UserError(
                f"stage {stage.name} needs '{name}', which is not an earlier {kind.__name__}"
                f"{did_you_mean(name, [*fit, *others])}; known: {', '.join([*others, *fit]) or 'none'}"
            )
        return self._known[name]

    def _passes(self, stage: TrainStage) -> int:
        """Returns the passes over its examples with which a stage takes at least as many steps as its `steps_of`."""
        made = stage_settings.training(self._config, stage)
        if stage.steps_of is None:
            return made.epochs
        other = self._earlier(stage.steps_of, stage, TrainStage)
        assert isinstance(other, TrainStage)
        batch = stage_settings.training(self._config, other).batch
        # In whole numbers: what the other has seen, in steps, times the batch here.
        return -(-self._passes(other) * self._examples(other) * made.batch // (batch * self._examples(stage)))

    def _examples(self, stage: TrainStage) -> int:
        """Returns how many examples a stage uses. The stages before must be done."""
        fraction = stage_settings.training(self._config, stage).fraction
        return in_use(len(read_problems(self._data(stage)[0], self._reader)), fraction)


def _flags(reference: str, fields: Sequence[str]) -> tuple[str, ...]:
    return (f"--config={reference}", *(f"--config.{field}" for field in fields))
