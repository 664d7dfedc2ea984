"""What a pipeline will take: samples, FLOPs, time and disk of each stage, before anything runs.

FLOPs are counted as in the paper (section 3.1): 6·N per token in training, 1.66·N + 2·layers·positions·width per token
in decoding. How long that takes and how long the texts are, a `Pace` says. Rows after selection are the paper's
distinct paths at k: an upper bound for a model that solves fewer problems than its 7B.
"""

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import assert_never

from rft_jax import names
from rft_jax.config import (
    ContaminationStage,
    DrawStage,
    EvaluateStage,
    LossStage,
    PipelineConfig,
    RoundStage,
    SampleConfig,
    SampleStage,
    SelectStage,
    StageConfig,
    TrainConfig,
    TrainStage,
    WorldStage,
)
from rft_jax.data.fraction import in_use
from rft_jax.hf import config as hf_config
from rft_jax.hf import located
from rft_jax.model import lora
from rft_jax.model.architecture import LlamaConfig
from rft_jax.pipeline import recipe, stage_settings
from rft_jax.pipeline.expansion import expanded
from rft_jax.pipeline.pace import RESPONSE_CHARACTERS, MeanLengths, Pace, sampling_flops, training_flops
from rft_jax.pipeline.sources import Source
from rft_jax.records.problem import Problem, read_problems
from rft_jax.remote.address import is_remote
from rft_jax.task import task as tasks
from rft_jax.world import generate

# The paper's distinct paths per problem, table 2 (7B): k -> paths.
_DISTINCT = {1: 1.17, 3: 1.44, 6: 1.74, 12: 2.20, 25: 2.93, 50: 3.94, 100: 5.25}

ROW_BYTES = 400  # of a row of a WorldStage
_PAIRS_PER_S, _BYTES_PER_S = 2e6, 2e6  # of the comparison of problems, and of a corpus by one processor


@dataclasses.dataclass(frozen=True)
class StageEstimate:
    """What one stage will take.

    Attributes:
        name: name of the stage.
        samples: paths it samples.
        flops: floating-point operations.
        seconds: run time.
        disk: bytes it leaves on disk.
    """

    name: str
    samples: float = 0
    flops: float = 0
    seconds: float = 0
    disk: float = 0


def estimate(config: PipelineConfig, workdir: Path, pace: Pace) -> list[StageEstimate]:
    """Returns what each stage will take.

    A model that was trained is expected to respond as long as the gold responses, another one until it is cut.

    Args:
        config: config of the pipeline.
        workdir: where it would run.
        pace: of the machine that would run it.

    Raises:
        UserError: a model folder or a file of problems is missing.
    """
    recipe.stages(config, workdir)  # raises on unknown names
    config = expanded(config).config
    known = {stage.name: stage for stage in config.stages}
    model = architectures(config)
    lengths = functools.cache(lambda source: pace.lengths(*problems_like(source, config, workdir)))
    train, test = lengths(config.problems), lengths(config.test)

    def k(stage: SampleStage) -> int:
        return stage_settings.sampling(config, stage).k

    def samples_of(stage: SelectStage, most: int | None) -> int:
        paths = (known[name] for name in stage.paths)
        return sum(min(k(path), most or k(path)) for path in paths if isinstance(path, SampleStage))

    def rows(stage: TrainStage) -> float:
        return stage_settings.training(config, stage).fraction * all_rows(stage)

    def all_rows(stage: TrainStage) -> float:
        maker, _, file = stage.data.partition("/")
        if file and isinstance(world := known.get(maker), WorldStage):
            return world.files[file]
        selected = known.get(stage.data)
        if not isinstance(selected, SelectStage):
            return train.problems
        samples = samples_of(selected, stage.k)
        chosen = distinct(samples) if selected.rules != "none" else samples / 2
        return train.problems * (1 + min(chosen, selected.cap or chosen))

    def epochs(stage: TrainStage) -> float:
        other = known.get(stage.steps_of or "")
        if isinstance(other, TrainStage):
            batches = stage_settings.training(config, stage).batch / stage_settings.training(config, other).batch
            return epochs(other) * rows(other) / rows(stage) * batches
        return stage_settings.training(config, stage).epochs

    def sampled(stage: SampleStage | EvaluateStage, settings: SampleConfig, of: MeanLengths, *ks: int) -> StageEstimate:
        trained = isinstance(known.get(stage.model), TrainStage)
        most = float(settings.max_new_tokens)
        of = dataclasses.replace(of, response=min(of.response, most) if trained else most)
        seconds = pace.starting + sum(pace.sampling(settings, model(stage.model), of, k) for k in ks)
        flops = sum(sampling_flops(model(stage.model), of, k) for k in ks)
        return StageEstimate(stage.name, of.problems * sum(ks), flops, seconds, paths_disk(of.problems * sum(ks), of))

    found = []
    for stage in config.stages:
        match stage:
            case WorldStage():
                found.append(StageEstimate(stage.name, seconds=5, disk=ROW_BYTES * sum(stage.files.values())))
            case DrawStage():
                found.append(StageEstimate(stage.name, seconds=5, disk=600 * (train.problems + test.problems)))
            case ContaminationStage():
                seconds = 3 + train.problems * test.problems / _PAIRS_PER_S + _bytes(stage.corpus) / _BYTES_PER_S
                found.append(StageEstimate(stage.name, seconds=seconds, disk=1e6))
            case TrainStage():
                architecture, settings = model(stage.model), stage_settings.training(config, stage)
                tokens = rows(stage) * epochs(stage) * (train.prompt + train.response)
                seconds = pace.starting + pace.training(settings, architecture, tokens)
                disk = training_disk(settings, architecture, on_cpu=pace.on_cpu)
                flops = training_flops(settings, architecture, tokens)
                found.append(StageEstimate(stage.name, flops=flops, seconds=seconds, disk=disk))
            case SampleStage():
                found.append(sampled(stage, stage_settings.sampling(config, stage), train, k(stage)))
            case SelectStage():
                votes = [each for name in stage.paths if isinstance(each := known[name], EvaluateStage)]
                voted = sum(
                    stage_settings.evaluation(config, each).k * lengths(each.problems or config.test).problems
                    for each in votes
                )
                samples = train.problems * samples_of(stage, None) + voted
                found.append(StageEstimate(stage.name, seconds=3 + samples / 10_000, disk=samples * 100))
            case LossStage():
                tokens = text_bytes(stage, known, workdir) / RESPONSE_CHARACTERS
                flops = 2 * model(stage.model).parameters * tokens
                found.append(StageEstimate(stage.name, flops=flops, seconds=pace.starting, disk=2_000))
            case RoundStage():
                source = Source.of(known[stage.paths], config, workdir)
                solved = lengths(source.problems)
                seconds = 3 + solved.problems * source.settings(config).k / 10_000
                found.append(StageEstimate(stage.name, seconds=seconds, disk=60 * solved.problems))
            case EvaluateStage():
                evaluation = stage_settings.evaluation(config, stage)
                ks = (1, evaluation.k) if evaluation.k else (1,)
                found.append(sampled(stage, evaluation, lengths(stage.problems or config.test), *ks))
            case _:
                assert_never(stage)
    return [*found, StageEstimate("report", seconds=pace.starting, disk=1e6)]


def architectures(config: PipelineConfig) -> Callable[[str], LlamaConfig]:
    """Returns a function from the name of a model or a training stage to the architecture.

    Raises:
        UserError: the folder of one of the pipeline's models is missing or wrong.
    """
    models = {
        name: hf_config.read(located.settings(folder))
        for name, folder in (each.split("=", 1) for each in config.models)
    }
    started_from = {stage.name: stage.model for stage in config.stages if isinstance(stage, TrainStage)}

    def architecture(name: str) -> LlamaConfig:
        while name in started_from:
            name = started_from[name]
        return models[name]

    return architecture


def training_disk(config: TrainConfig, architecture: LlamaConfig, *, on_cpu: bool) -> float:
    """Returns the most bytes that a training run has on disk at once.

    Args:
        config: of the run.
        architecture: of its model.
        on_cpu: whether it runs on a CPU, where compute=auto is float32.
    """
    exported = 4 if config.compute == "float32" or (config.compute == "auto" and on_cpu) else 2
    checkpoint = 4 + 2 * (4 if config.moments == "float32" else 2)
    # The oldest checkpoint goes when the next one is whole; in a bucket they take no room on the disk.
    kept = config.keep + 1 if config.checkpoints is None else 0
    adapters = lora.chosen(config.lora, architecture)
    trained = adapters.parameters(architecture) if adapters else architecture.parameters
    return float(kept * checkpoint * trained + exported * architecture.parameters)


def paths_disk(samples: float, lengths: MeanLengths) -> float:
    """Returns the bytes that sampled paths have on disk."""
    return samples * (lengths.response * RESPONSE_CHARACTERS + 130)


def distinct(k: int) -> float:
    """Returns the paper's distinct paths per problem at k samples, interpolated linearly in log k."""
    points = sorted(_DISTINCT.items())
    pairs = list(itertools.pairwise(points))
    (low, at_low), (high, at_high) = next((pair for pair in pairs if k <= pair[1][0]), pairs[-1])
    return at_low + (at_high - at_low) * math.log(max(k, 1) / low) / math.log(high / low)


def problems_like(source: str, config: PipelineConfig, workdir: Path) -> tuple[list[Problem], int]:
    """Returns problems like those of a source, which a stage may have yet to make, and how many it has."""
    file = next(file for file in (workdir / source, Path(source)) if file.exists() or file == Path(source))
    makers = {stage.name: stage for stage in config.stages if isinstance(stage, WorldStage | DrawStage)}
    name, _, inside = source.partition("/")
    match None if file.exists() else makers.get(name):
        case WorldStage() as world:
            return generate.problems("train", 48, 0), world.files[inside]
        case DrawStage() as draw:
            of_training = inside.startswith("train")
            like, count = problems_like(draw.train if of_training else draw.test, config, workdir)
            return like, in_use(count, draw.fraction if of_training else draw.test_fraction)
        case _:
            named = source.startswith("hf:") or is_remote(source)  # no file of this machine
            there = read_problems(source if named else file, tasks.load(config.task).reader)
            return there, len(there)


def text_bytes(stage: LossStage, known: Mapping[str, StageConfig], workdir: Path) -> float:
    """Returns about how many bytes the text of a stage has; 0 where that is not known, as of a data set of the hub."""
    maker, _, file = stage.text.partition("/")
    there = next((place for place in (workdir / stage.text, Path(stage.text)) if place.is_file()), None)
    if there is not None:
        return there.stat().st_size
    world = known.get(maker)
    return ROW_BYTES * world.files.get(file, 0) if isinstance(world, WorldStage) else 0


def _bytes(patterns: Sequence[str]) -> int:
    """Returns how many bytes the files of this machine have that match."""
    return sum(Path(name).stat().st_size for pattern in patterns for name in names.matches(pattern))


def default_chips(hardware: str) -> int:
    """Returns the number of devices to assume: all cores of this machine, or the paper's 8 GPUs."""
    return (os.cpu_count() or 1) if hardware == "cpu" else 8


def table(estimates: list[StageEstimate], states: dict[str, str], commands: dict[str, str]) -> str:
    """Returns the plan for the terminal: each stage with its command, what is left to do, and what it will take."""
    lines = []
    for each in estimates:
        lines.append(f"{each.name}: {states[each.name]}\n    {commands[each.name]}")
        needs = [f"{each.samples:,.0f} samples"] if each.samples else []
        needs += [f"{each.flops:.1e} FLOPs"] if each.flops else []
        lines.append(f"    about {', '.join([*needs, duration(each.seconds), storage(each.disk)])}")
    left = [each for each in estimates if states[each.name] != "done" and not states[each.name].startswith("skipped")]
    lines.append(
        f"remaining in total: {sum(each.samples for each in left):,.0f} samples, "
        f"{sum(each.flops for each in left):.1e} FLOPs, {duration(sum(each.seconds for each in left))}, "
        f"{storage(sum(each.disk for each in left))} on disk"
    )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Returns `40 s`, `12 min` or `3.5 h`."""
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def storage(count: float) -> str:
    """Returns a number of bytes as `40 kB`, `12 MB` or `27 GB`."""
    return (
        f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.0f} GB"
    )
