"""The schemas of training, sampling and evaluating."""

import dataclasses
import math
from typing import Annotated, Literal, get_args

from rft_jax.ranges import Range

Natural = Annotated[int, Range(least=0)]
Count = Annotated[int, Range(least=1)]
Devices = Annotated[int, Range(least=1, other=-1)]
Part = Annotated[float, Range(above=0, most=1)]  # of a whole; none of it would leave nothing to do
Share = Annotated[float, Range(least=0, most=1)]
Momentum = Annotated[float, Range(least=0, below=1)]
Positive = Annotated[float, Range(above=0, below=math.inf)]
NonNegative = Annotated[float, Range(least=0, below=math.inf)]
COLDEST = 1e-6  # a temperature below could be 0 as the devices count
Temperature = Annotated[float, Range(least=COLDEST, below=math.inf, other=0)]


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """The number of devices along each axis of the mesh; one axis may be -1, for all remaining devices.

    Attributes:
        data: full replicas of the model.
        fsdp: devices that split the batch and the parameters.
        tensor: devices that split heads, MLP width and vocabulary.
    """

    data: Devices = 1
    fsdp: Devices = -1
    tensor: Devices = 1


UNIFORM = "uniform"  # the budget that gives every problem as many samples
Target = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TARGETS: tuple[Target, ...] = get_args(Target)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Training low-rank adapters beside frozen weights, in place of the weights (LoRA, arXiv 2106.09685).

    Attributes:
        rank: of each adapter; 0: none, all weights are trained.
        alpha: what an adapter adds is scaled by alpha / rank.
        targets: the projections that get one, by Hugging Face's names.
        export: merged: the whole model, to WORKDIR/model, with the adapters added to its weights; adapter: these alone,
            to WORKDIR/adapter, for PEFT.
    """

    rank: Natural
    alpha: Positive
    targets: tuple[Target, ...]
    export: Literal["merged", "adapter"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run. SFT and RFT differ only in their data. configs/sft.py makes one.

    Attributes:
        model: Hugging Face folder to start from, or a model of the hub, hf:ORG/NAME[@REVISION].
        checkpoint: step folder of another run to start from instead; only its weights are used.
        size: architecture to initialise randomly when neither is given.
        tokenizer: folder of the tokenizer, or the hub's name, if not the model's own.
        data: JSONL file of queries and responses.
        fraction: share of the examples to use; a smaller fraction is a subset of a larger one.
        epochs: passes over the examples.
        batch: examples per step.
        seed: for the data order and for random weights.
        task: name of a shipped task, or a Python file that defines TASK; behind a colon the fields that it reads, as in
            gsm8k:QUESTION,RESPONSE or gsm8k:QUESTION,SOLUTION,ANSWER.
        template: paper, chat, or a Jinja file, to override the task's; none: the task's.
        begin_token: id of the bos token before every prompt; none: what the tokenizer itself puts before a text.
        border: how text is tokenised where prompt meets response. exact: the response separately, after the prompt that
            is sampled from; joint: both together, as the reference does, even if a token spans the border.
        max_length: most tokens in an example; a longer one is an error, or cut on the right with border=joint.
        packing: rows: several examples per row; prefix: the same, with the tokens that all examples begin with stored
            once per row (splash attention cannot, and uses rows); none: one, padded to the longest in the step.
        row_length: tokens per packed row.
        loss: token_mean, or the reference's group_mean: the mean over loss groups of each group's token mean.
        loss_group: examples per loss group; it changes the loss, not the memory.
        learning_rate: peak learning rate.
        warmup: share of the steps over which the rate rises.
        decay: how the rate then falls to 0.
        weight_decay, beta1, beta2, epsilon: AdamW's.
        clip: largest norm of a gradient.
        moments: dtype in which Adam's moments are stored.
        compute: dtype of the computation; auto: float32 on CPU, bfloat16 elsewhere.
        accumulation: parts into which a step's rows are split, to be processed in turn and save memory.
        remat: what a layer keeps for the backward pass: everything (none), matrix products (dots) or only its input
            (full).
        attention: implementation; auto: cudnn on CUDA, splash on TPU, xla elsewhere.
        loss_chunk: tokens per device whose logits exist at the same time.
        mesh: how the devices are laid out.
        lora: whether adapters are trained, and which.
        save_every: steps between checkpoints; the last step is always saved.
        keep: how many checkpoints to keep.
        checkpoints: folder in a bucket for them, gs://BUCKET/FOLDER, one for each run; none: WORKDIR/checkpoints.
    """

    model: str | None = None
    checkpoint: str | None = None
    size: str | None = None
    tokenizer: str | None = None
    data: str | None = None
    fraction: Part
    epochs: Count
    batch: Count
    seed: int
    task: str
    template: str | None
    begin_token: Natural | None
    border: Literal["exact", "joint"]
    max_length: Count
    packing: Literal["prefix", "rows", "none"]
    row_length: Count
    loss: Literal["token_mean", "group_mean"]
    loss_group: Count
    learning_rate: NonNegative
    warmup: Share
    decay: Literal["cosine", "linear"]
    weight_decay: NonNegative
    beta1: Momentum
    beta2: Momentum
    epsilon: Positive
    clip: Positive
    moments: Literal["float32", "bfloat16"]
    compute: Literal["auto", "float32", "bfloat16"]
    accumulation: Count
    remat: Literal["none", "dots", "full"]
    attention: Literal["auto", "xla", "cudnn", "splash"]
    loss_chunk: Count
    mesh: MeshConfig
    lora: LoraConfig
    save_every: Count
    keep: Count
    checkpoints: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Sampling k paths per problem. configs/sample.py makes one.

    Attributes:
        model: Hugging Face folder, or a model of the hub, hf:ORG/NAME[@REVISION].
        problems: JSONL file of problems, or hf:NAME:CONFIG:SPLIT.
        name: name of the model in the paths; none: the folder's name.
        k: samples per problem, at most.
        budget: how many of them each problem gets: uniform: all; distinct=N, correct=N: until it has so many distinct
            right paths, or right ones; proportional, boundary, tokens=T: see rft_jax/budget/README.md.
        temperature: 0 always takes the most likely token.
        top_k, top_p, min_p: filters on the next token, applied in this order; none: all tokens.
        seed: a path depends on the seed, its problem and its sample number alone.
        max_new_tokens: length at which a response is cut.
        prompt_tokens: keep only this many of a prompt's last tokens; none: all, and a prompt that is too long is an
            error.
        task: name of a shipped task, or a Python file that defines TASK, and the fields that it reads, as in training;
            none: the model's own, else gsm8k. `:QUESTION,RESPONSE` is the model's own with other fields.
        template: paper, chat, or a Jinja file, to override the task's; none: the one the model was trained with, else
            the task's.
        begin_token: id of the bos token before every prompt; none: the model's own, else the tokenizer's.
        end_tokens: ids of the tokens that end a response; none: the model's own.
        shots: worked examples before each question, for a model that was only pre-trained.
        shots_from: problems to take the examples from.
        compute: dtype of weights, computation and cache; auto: float32 on CPU, bfloat16 elsewhere.
        mesh: how the devices are laid out: replicas along data, each split along tensor.
        rows: samples in flight per device; none: as many as its memory holds.
        logprobs: also write how likely each token was, before the filters: at the sampling temperature, and at 1.
    """

    model: str | None = None
    problems: str | None = None
    name: str | None = None
    k: Count
    temperature: Temperature
    top_k: Count | None
    top_p: Part | None
    min_p: Part | None
    seed: int
    max_new_tokens: Count
    prompt_tokens: Count | None
    begin_token: Natural | None
    end_tokens: tuple[Natural, ...] | None
    shots: Natural
    shots_from: str | None
    compute: Literal["auto", "float32", "bfloat16"]
    mesh: MeshConfig
    rows: Count | None
    logprobs: bool = False
    task: str | None = None
    template: str | None = None
    budget: str = UNIFORM


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig(SampleConfig):
    """Evaluating a model: one greedy path per problem, and k samples that vote. configs/evaluate.py makes one.

    Attributes:
        k: samples per problem for maj1@k and pass@k; 0: the greedy path only.
        temperature: temperature of these samples.
        against: workdirs of other models' evaluations on the same problems, to compare with.
        grader: decides which answers are right: a shipped grader, or a Python file with a GRADER; none: the task's.
        audit: graders that also judge every path, for comparison; none: the task's.
        groups: fields of the problems (level,type) by which accuracy is broken down; none: the task's, as far as the
            problems have them.
        cluster: a field of the problems, such as a template's id, whose problems resemble each other: intervals and
            comparisons then go by its values; none: problems are independent.
    """

    k: Natural
    against: tuple[str, ...] = ()
    grader: str | None = None
    audit: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    cluster: str | None = None
