"""The schema of a pipeline: its stages, and what they have in common."""

import dataclasses
from typing import Literal

from rft_jax.config.runs import Count, Natural, Part, Temperature

GOLD = "gold"  # as the data of a TrainStage: the gold answers of the pipeline's problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorldStage:
    """Makes the embedded default's problems: train.jsonl, test.jsonl and so on.

    Attributes:
        name: name of the stage and of its folder.
        train, test: number of problems in each.
        seed: of the training problems and the corpus; the test problems are always the same.
        corpus: rows of noisy text to pre-train on, corpus.jsonl.
        fresh: number of test problems that are none of the standard ones, fresh.jsonl.
        variants: of each template, with other numbers, people and things, variants.jsonl.
        templates: how many of the test problems, from the first, are varied.
        fresh_seed: of fresh problems and variants, which are the same for all seeds of the pipeline.
        replicated: whether each seed of the pipeline has its own.
    """

    name: str
    train: Count
    test: Count
    seed: int
    corpus: Natural = 0
    fresh: Natural = 0
    variants: Natural = 0
    templates: Count = 100
    fresh_seed: int = 0
    replicated: bool = True

    @property
    def files(self) -> dict[str, int]:
        """The files that it makes, with their numbers of rows."""
        rows = {
            "train.jsonl": self.train,
            "test.jsonl": self.test,
            "corpus.jsonl": self.corpus,
            "fresh.jsonl": self.fresh,
            "variants.jsonl": self.variants * self.templates,
        }
        return {name: count for name, count in rows.items() if count}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainStage:
    """Trains a model on gold answers or on selected paths.

    Attributes:
        name: name of the stage, its folder and its model.
        model: one of the pipeline's models, or an earlier TrainStage.
        data: an earlier SelectStage, `gold`, or a file of a WorldStage, as in `world/corpus.jsonl`.
        k: use the set made from samples numbered below k; None: from all samples.
        settings: fields of the TrainConfig, as `name=value`.
        steps_of: a TrainStage; this one repeats its own data until it has taken at least as many steps.
        config: FILE[:ARGUMENT] of its TrainConfig; None: the pipeline's.
        replicated: whether each seed of the pipeline trains its own; False: one for all, as a pre-trained model.
    """

    name: str
    model: str
    data: str
    k: Count | None = None
    settings: tuple[str, ...] = ()
    steps_of: str | None = None
    config: str | None = None
    replicated: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleStage:
    """Samples paths of the training problems.

    Attributes:
        name: name of the stage and of its folder.
        model: a TrainStage, or one of the pipeline's models.
        settings: fields of the SampleConfig, as `name=value`.
    """

    name: str
    model: str
    settings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectStage:
    """Selects paths to train on; paths from several stages are united.

    Attributes:
        name: name of the stage and of its folder.
        paths: SampleStages; or EvaluateStages that voted, whose samples solve the test problems.
        rules: paper or reference: distinct paths; nearest: the same number, chosen the other way; random:SEED: the same
            number, drawn; none: every right path; or a Python file with a RULE.
        ks: for each of these, also make the set from samples numbered below it.
        cap: the most paths of a problem in a set: of those that the rules choose the first, of random those of the
            first lots; none: all.
        unless: RoundStages; when one of them says stop, this stage is skipped, and all that depends on it.
    """

    name: str
    paths: tuple[str, ...]
    rules: str = "paper"
    ks: tuple[Count, ...] = ()
    cap: Count | None = None
    unless: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateStage:
    """Evaluates a model on the test problems, or on others.

    Attributes:
        name: name of the stage and of its folder.
        model: a TrainStage, or one of the pipeline's models.
        problems: a file, hf:NAME:CONFIG:SPLIT, or STAGE/fresh.jsonl; None: the pipeline's test.
        against: earlier EvaluateStages on the same problems to compare with.
        settings: fields of the EvaluateConfig, as `name=value`.
    """

    name: str
    model: str
    problems: str | None = None
    against: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawStage:
    """Draws a share of the problems: train.jsonl and test.jsonl. A pipeline with a fraction below 1 begins with one.

    Attributes:
        name: name of the stage and of its folder.
        train, test: where the problems are drawn from.
        fraction, test_fraction: shares of them.
        seed: of the training problems; the test problems are always the same.
    """

    name: str
    train: str
    test: str
    fraction: Part
    test_fraction: Part
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContaminationStage:
    """Compares the test problems with the training problems and with other texts. A pipeline adds one by itself.

    Attributes:
        name: name of the stage and of its folder.
        corpus: more texts to compare with, as patterns of files or data sets of the hub.
    """

    name: str
    corpus: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossStage:
    """Measures a model's loss on text: loss.json.

    Attributes:
        name: name of the stage and of its folder.
        model: a TrainStage, or one of the pipeline's models.
        text: a file, hf:NAME:CONFIG:SPLIT, or a file of a WorldStage, as in `world/corpus.jsonl`.
        field: of its rows, which holds the text, or several, separated by commas; None: the file is one text.
        task: of a file of problems, of which the responses are measured, each after its prompt.
    """

    name: str
    model: str
    text: str
    field: str | None = None
    task: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundStage:
    """Checks a round by its paths: round.json, with its figures, and whether to go on (rft_jax/rounds/rule.py).

    It stops nothing itself: the stages that it is to stop name it in `unless`.

    Attributes:
        name: name of the stage and of its folder.
        paths: a SampleStage, or an EvaluateStage that voted, with as many samples of every problem. No stage may stop
            by a check on the test problems, which would then have chosen the model.
        previous: the RoundStage of the round before; None: this is the first.
    """

    name: str
    paths: str
    previous: str | None = None


StageConfig = (
    WorldStage
    | DrawStage
    | ContaminationStage
    | TrainStage
    | SampleStage
    | SelectStage
    | EvaluateStage
    | LossStage
    | RoundStage
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A question that some of a pipeline's stages answer. Pipelines that share a workdir share stages.

    Attributes:
        name: of its config.
        size: of rft_jax/paper/preset.py.
        stages: the stages.
    """

    name: str
    size: str
    stages: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """A pipeline of several models, stages and rounds. configs/quickstart.py and configs/gsm8k.py make one.

    Attributes:
        problems: problems to train on and sample for: a file, hf:NAME:CONFIG:SPLIT, or STAGE/train.jsonl.
        test: problems to evaluate on, likewise.
        fraction: share of the problems to train on, drawn by the seed; a smaller one is the beginning of a larger one,
            so its paths are the same.
        test_fraction: share of the problems to evaluate on; the same for every seed.
        models: models to start from, as `name=folder`; folders as the commands take them.
        train, sample, evaluate: config of each command, FILE[:ARGUMENT].
        train_settings, sample_settings, evaluate_settings: fields for all stages of a kind, as `name=value`; a stage's
            own settings override them.
        task: name of a shipped task, or a Python file that defines TASK, and the fields that it reads; for all stages.
        k: samples per problem.
        temperature: temperature of the samples.
        seed: for training and sampling.
        seeds: replicates of all that depends on the seed: seed, seed + 1 and so on; more can be added to a finished
            run.
        controls: of each comparison of RFT with SFT. steps: SFT for as many steps; random: as many right paths as the
            rule keeps, drawn at random; nearest: one of each list, the nearest to the others. See pipeline/controls.py.
        experiments: what the stages are for; the report says which of each are missing. A workdir remembers those that
            were run in it.
        contamination: whether to compare the test problems with the training problems.
        corpora: more texts to compare them with, such as pre-training data: patterns of files, or data sets of the hub.
        stages: in the order in which they run; the report is added at the end.
    """

    problems: str
    test: str
    fraction: Part = 1.0
    test_fraction: Part = 1.0
    models: tuple[str, ...]
    train: str = "configs/sft.py"
    sample: str = "configs/sample.py"
    evaluate: str = "configs/evaluate.py"
    train_settings: tuple[str, ...] = ()
    sample_settings: tuple[str, ...] = ()
    evaluate_settings: tuple[str, ...] = ()
    task: str = "gsm8k"
    k: Count
    temperature: Temperature
    seed: Natural
    seeds: Count = 1
    controls: tuple[Literal["steps", "random", "nearest"], ...] = ("steps", "random")
    experiments: tuple[Experiment, ...] = ()
    contamination: bool = True
    corpora: tuple[str, ...] = ()
    stages: tuple[StageConfig, ...]
