"""The typed schemas of the runs. A file in configs/ builds one of these; `config_flag` overrides its fields."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How many devices stand along each axis of the mesh; -1, on one axis at most, takes all that are left.

    Attributes:
        data: replicas of the whole model.
        fsdp: devices that split the batch and the parameters.
        tensor: devices that split heads, MLP width and vocabulary.
    """

    data: int = 1
    fsdp: int = -1
    tensor: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run, SFT or RFT: only the data differs. configs/sft.py makes one.

    Attributes:
        model: Hugging Face folder to start from.
        checkpoint: step folder of another run to start from instead; its moments are not taken.
        size: architecture to fill with random weights when neither is given.
        tokenizer: folder of the tokenizer, when it is not the model's.
        data: JSONL file of queries and responses.
        fraction: of the examples to use; smaller fractions are parts of larger ones.
        epochs: how often each example is seen.
        batch: examples per step.
        seed: of the order, and of random weights.
        task: what is asked: the name of a shipped task, or a Python file that defines TASK.
        template: paper, chat, or a Jinja file, in place of the task's; none: the task's.
        begin_token: number of the token before every prompt; none: what the tokenizer itself puts before a text.
        border: of prompt and response. exact: the response is tokenised from there on, behind the prompt that is
            sampled from; joint: with the prompt, as the reference does, even where the tokenizer merges across it.
        max_length: tokens of an example at most; a longer one is an error, with border=joint it is cut at the right.
        packing: rows: several examples per row; prefix: likewise, and what all examples begin with stands once per row
            (rows where the attention is splash, which cannot); none: one, padded to the longest of the step.
        row_length: tokens per packed row.
        loss: token_mean, or the reference's group_mean: the mean over loss groups of each group's token mean.
        loss_group: examples per loss group; it changes the loss, not the memory.
        learning_rate: the peak.
        warmup: share of the steps in which the rate rises.
        decay: how it falls, to 0.
        weight_decay, beta1, beta2, epsilon: AdamW's.
        clip: the largest norm of a gradient.
        moments: dtype in which Adam's moments rest.
        compute: dtype of the computation; auto: bfloat16, on CPU float32.
        accumulation: parts of a step's rows that go through the devices one after the other, to save memory.
        remat: what a layer keeps for the backward pass: none (all), dots (products), full (its input).
        attention: implementation; auto: cudnn on CUDA, splash on TPU, xla elsewhere.
        loss_chunk: tokens a device makes logits of at once.
        mesh: how the devices are laid out.
        save_every: steps between two checkpoints; the last step is always saved.
        keep: how many checkpoints to keep.
    """

    model: str | None = None
    checkpoint: str | None = None
    size: str | None = None
    tokenizer: str | None = None
    data: str | None = None
    fraction: float
    epochs: int
    batch: int
    seed: int
    task: str
    template: str | None
    begin_token: int | None
    border: Literal["exact", "joint"]
    max_length: int
    packing: Literal["prefix", "rows", "none"]
    row_length: int
    loss: Literal["token_mean", "group_mean"]
    loss_group: int
    learning_rate: float
    warmup: float
    decay: Literal["cosine", "linear"]
    weight_decay: float
    beta1: float
    beta2: float
    epsilon: float
    clip: float
    moments: Literal["float32", "bfloat16"]
    compute: Literal["auto", "float32", "bfloat16"]
    accumulation: int
    remat: Literal["none", "dots", "full"]
    attention: Literal["auto", "xla", "cudnn", "splash"]
    loss_chunk: int
    mesh: MeshConfig
    save_every: int
    keep: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Sampling k paths a problem. configs/sample.py makes one.

    Attributes:
        model: Hugging Face folder.
        problems: JSONL file of problems, or hf:NAME:CONFIG:SPLIT.
        name: of the model, in the paths; none: the folder's name.
        k: samples a problem.
        temperature: 0 takes the most likely token each time.
        top_k, top_p, min_p: filters of the next token, in this order; none: all tokens.
        seed: of the random numbers; a path depends on seed, problem and sample alone.
        max_new_tokens: where a response is cut.
        prompt_tokens: of a longer prompt only the last ones are kept; none: all, and too long a prompt is an error.
        task: what is asked and how answers are judged: the name of a shipped task, or a Python file that defines TASK;
            none: the model's own, else gsm8k.
        template: paper, chat, or a Jinja file, in place of the task's; none: the one the model was trained with, else
            the task's.
        begin_token: number of the token before every prompt; none: the model's own, else the tokenizer's.
        end_tokens: numbers of the tokens that end a response; none: the model's own.
        shots: worked examples before each question, for a model that was only pre-trained; 0: no examples.
        shots_from: problems to take the examples from.
        compute: dtype of weights, computation and cache; auto: bfloat16, on CPU float32.
        mesh: how the devices are laid out: replicas along data, each split along tensor.
        rows: samples in flight on a device; none: as many as its memory holds.
        part, parts: this process is one of several that share the work; none: SLURM's job array, or alone.
    """

    model: str | None = None
    problems: str | None = None
    name: str | None = None
    k: int
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    seed: int
    max_new_tokens: int
    prompt_tokens: int | None
    begin_token: int | None
    end_tokens: tuple[int, ...] | None
    shots: int
    shots_from: str | None
    compute: Literal["auto", "float32", "bfloat16"]
    mesh: MeshConfig
    rows: int | None
    part: int = 0
    parts: int | None = None
    task: str | None = None
    template: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig(SampleConfig):
    """Evaluating a model: one greedy path a problem, and k samples to vote. configs/evaluate.py makes one.

    Attributes:
        k: samples a problem for maj1@k and pass@k; 0: the greedy path only.
        temperature: of these samples.
        against: workdirs of evaluations of other models on the same problems, to compare with.
        grader: decides which answers are right: a shipped grader, or a Python file with a GRADER; none: the task's.
        audit: graders that look at every path beside it; none: the task's.
    """

    against: tuple[str, ...] = ()
    grader: str | None = None
    audit: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorldStage:
    """Makes the embedded default's problems: train.jsonl and test.jsonl.

    Attributes:
        name: of the stage, and of its folder.
        train, test: how many problems of each.
        seed: of the training problems; the test problems are always the same.
    """

    name: str
    train: int
    test: int
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainStage:
    """Trains a model on gold answers or on selected paths.

    Attributes:
        name: of the stage, its folder, and its model.
        model: one of the pipeline's models, or an earlier TrainStage.
        data: an earlier SelectStage, or `gold`.
        k: of its sets, the one of the samples numbered below k; None: of all samples.
        settings: fields of the TrainConfig, `name=value`.
        steps_of: a TrainStage; this one sees its own data so often that it takes at least as many steps.
        config: FILE[:ARGUMENT] of its TrainConfig; None: the pipeline's.
    """

    name: str
    model: str
    data: str
    k: int | None = None
    settings: tuple[str, ...] = ()
    steps_of: str | None = None
    config: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleStage:
    """Samples paths of the training problems.

    Attributes:
        name: of the stage, and of its folder.
        model: a TrainStage, or one of the pipeline's models.
        settings: fields of the SampleConfig, `name=value`.
    """

    name: str
    model: str
    settings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectStage:
    """Selects paths to train on; those of several stages are united.

    Attributes:
        name: of the stage, and of its folder.
        paths: SampleStages.
        rules: paper or reference: distinct paths; none: every right path; or a Python file with a RULE.
        ks: for each of these, also make the set of the samples numbered below it.
    """

    name: str
    paths: tuple[str, ...]
    rules: str = "paper"
    ks: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateStage:
    """Evaluates a model on the test problems.

    Attributes:
        name: of the stage, and of its folder.
        model: a TrainStage, or one of the pipeline's models.
        against: earlier EvaluateStages to compare with.
        settings: fields of the EvaluateConfig, `name=value`.
    """

    name: str
    model: str
    against: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


StageConfig = WorldStage | TrainStage | SampleStage | SelectStage | EvaluateStage


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Several models, stages and rounds. configs/quickstart.py and configs/gsm8k.py make one.

    Attributes:
        problems: to train on and to sample for: a file, hf:NAME:CONFIG:SPLIT, or STAGE/train.jsonl.
        test: problems to evaluate on, likewise.
        models: `name=folder` of the models to start from.
        train, sample, evaluate: configs of the commands, FILE[:ARGUMENT].
        train_settings, sample_settings, evaluate_settings: of all their stages, `name=value`; a stage's own come later.
        task: what is asked and how answers are judged, in all stages: a shipped task's name, or a Python file.
        k: samples a problem.
        temperature: of the samples.
        seed: of training and sampling.
        stages: in the order in which they run; the report comes last by itself.
    """

    problems: str
    test: str
    models: tuple[str, ...]
    train: str = "configs/sft.py"
    sample: str = "configs/sample.py"
    evaluate: str = "configs/evaluate.py"
    train_settings: tuple[str, ...] = ()
    sample_settings: tuple[str, ...] = ()
    evaluate_settings: tuple[str, ...] = ()
    task: str = "gsm8k"
    k: int
    temperature: float
    seed: int
    stages: tuple[StageConfig, ...]
