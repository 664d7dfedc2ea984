"""The sizes at which the paper's experiments are run: the paper's own, on one GPU, and in minutes on two cores."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from rft_jax.config import StageConfig, TrainStage, WorldStage
from rft_jax.errors import UserError, did_you_mean

_WORLD_BASE = Path(__file__).parents[1] / "world" / "base_model"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A size.

    Attributes:
        name: as it is given to the configs.
        models: maps the paper's kind of name to a folder or a name of the hub; those that are made are in `made`.
        names: all models, the weakest first.
        students: models of RFT.
        base: the model of the experiments on one model.
        fraction_models, curve_models, hot_models, union_students: models of the experiments on fractions of the data,
            on k, on temperature and on unions.
        voting: models whose maj1@k is evaluated.
        union13, union33: models whose paths are united.
        made: stages that make problems and models.
        problems, test: what the models train on, and are evaluated on.
        text: what the pre-training loss is measured on.
        text_field, text_task: the field of its rows, or the task whose responses are measured.
        k, ks: samples per problem, and the first of them that RFT is compared at.
        temperature, hot: of the samples, and of the experiment on temperature.
        votes: samples of maj1@k.
        shots: worked examples for models that were only pre-trained.
        fractions: of the training problems, as 1/N.
        rounds: of RFT.
        seeds: replicates.
        train: settings of every training; the sizes' own are in `train_of`.
        train_of: maps a model to FILE[:ARGUMENT] of its TrainConfig.
        faithful: the TrainConfig of `base` with the surprises of the reference's code, and settings beside it.
        sample: settings of every sampling.
        sample_of: maps a model to its own.
        evaluate: settings of every evaluation.
    """

    name: str
    models: Mapping[str, str]
    names: tuple[str, ...]
    students: tuple[str, ...]
    base: str
    fraction_models: tuple[str, ...]
    curve_models: tuple[str, ...]
    hot_models: tuple[str, ...]
    union_students: tuple[str, ...]
    voting: tuple[str, ...]
    union13: tuple[str, ...]
    union33: tuple[str, ...]
    made: tuple[StageConfig, ...] = ()
    problems: str = "hf:openai/gsm8k:main:train"
    test: str = "hf:openai/gsm8k:main:test"
    text: str
    text_field: str | None = None
    text_task: str | None = None
    k: int = 100
    ks: tuple[int, ...] = (1, 3, 6, 12, 25, 50)
    temperature: float = 0.7
    hot: float = 1.0
    votes: int = 100
    shots: int = 8
    fractions: tuple[int, ...] = (2, 4, 8, 16, 32)
    rounds: int = 2
    seeds: int = 1
    train: tuple[str, ...] = ()
    train_of: Mapping[str, str]
    faithful: tuple[str, tuple[str, ...]]
    sample: tuple[str, ...] = ()
    sample_of: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    evaluate: tuple[str, ...] = ()


_SIZES = {
    "7B": "llama-7b", "7B-2": "llama2-7b", "13B": "llama-13b", "13B-2": "llama2-13b", "33B": "llama-33b",
    "65B": "llama-65b", "70B-2": "llama2-70b",
}  # fmt: skip

_FAITHFUL = "configs/sft.py:llama2-7b:paper"

FULL = Preset(
    name="full",
    models={
        "7B": "hf:huggyllama/llama-7b",
        "7B-2": "hf:meta-llama/Llama-2-7b-hf",
        "13B": "hf:huggyllama/llama-13b",
        "13B-2": "hf:meta-llama/Llama-2-13b-hf",
        "33B": "hf:huggyllama/llama-30b",
        "65B": "hf:huggyllama/llama-65b",
        "70B-2": "hf:meta-llama/Llama-2-70b-hf",
    },
    names=tuple(_SIZES),
    students=("7B", "7B-2", "13B", "13B-2", "33B"),
    base="7B-2",
    fraction_models=tuple(_SIZES),
    curve_models=("7B", "7B-2", "13B", "13B-2"),
    hot_models=("33B",),
    union_students=tuple(_SIZES),
    voting=tuple(_SIZES),
    union13=("7B", "7B-2", "13B", "13B-2"),
    union33=("7B", "7B-2", "13B", "13B-2", "33B"),
    # The paper takes its losses from others' plots of pre-training; this is a text that can be had.
    text="hf:Salesforce/wikitext:wikitext-103-raw-v1:test",
    text_field="text",
    train_of={name: f"configs/sft.py:{size}" for name, size in _SIZES.items()},
    faithful=(_FAITHFUL, ()),
    # Devices that hold the weights in bf16 and a roomy cache beside them (configs/sample.py).
    sample_of={"33B": ("mesh.tensor=2",), "65B": ("mesh.tensor=4",), "70B-2": ("mesh.tensor=4",)},
)

_SMOL = ("135M", "360M", "1.7B")

SMOLLM2 = Preset(
    name="smollm2",
    models={name: f"hf:HuggingFaceTB/SmolLM2-{name}" for name in _SMOL},
    names=_SMOL,
    students=_SMOL,
    base="360M",
    fraction_models=_SMOL,
    curve_models=("135M", "360M"),
    hot_models=("360M",),
    union_students=_SMOL,
    voting=_SMOL,
    union13=("135M", "360M"),
    union33=_SMOL,
    text=FULL.text,
    text_field=FULL.text_field,
    seeds=3,
    train_of=dict.fromkeys(_SMOL, "configs/sft.py:smollm2"),
    # Its end token is 0; the other settings are those of configs/sft.py:smollm2.
    faithful=(
        _FAITHFUL,
        ("begin_token=0", "mesh.fsdp=-1", "batch=32", "learning_rate=1e-4", "accumulation=2", "keep=1"),
    ),
)

_CORPUS = "corpus/corpus.jsonl"


def _pretrained(name: str, rows: int) -> TrainStage:
    """Returns a stage that goes on with the base model's pre-training, on rows it has not seen."""
    own = (f"fraction={rows}/{_ROWS}", "epochs=1", "max_length=256", "row_length=256", "packing=rows")
    return TrainStage(
        name=name, model="early", data=_CORPUS, replicated=False, settings=(*own, "learning_rate=1e-3", "seed=1")
    )


_ROWS = 4_000

TINY = Preset(
    name="tiny",
    models={"early": os.path.relpath(_WORLD_BASE)},
    names=("early", "middle", "late"),
    students=("early", "late"),
    base="early",
    fraction_models=("early",),
    curve_models=("early",),
    hot_models=("early",),
    union_students=("early",),
    voting=("early",),
    union13=("early", "middle"),
    union33=("early", "middle", "late"),
    made=(
        WorldStage(name="world", train=192, test=600, seed=0),
        WorldStage(name="corpus", train=1, test=1, seed=1, corpus=_ROWS, replicated=False),
        WorldStage(name="held-out", train=1, test=1, seed=2, corpus=500, replicated=False),
        _pretrained("middle", 1_500),
        _pretrained("late", _ROWS),
    ),
    problems="world/train.jsonl",
    test="world/test.jsonl",
    text="held-out/corpus.jsonl",
    text_task="gsm8k",  # its models were pre-trained on the answers, not on the questions
    k=12,
    ks=(1, 3, 6),
    temperature=0.9,
    hot=1.3,
    votes=8,
    shots=0,  # it was pre-trained on problems
    fractions=(2, 4, 8),
    seeds=3,
    # As the quickstart's: all steps have one shape.
    train=(
        "epochs=3", "batch=16", "learning_rate=5e-4", "remat=none", "save_every=10000", "keep=1", "packing=none",
        "max_length=129",
    ),
    train_of={},
    faithful=(_FAITHFUL, ("max_length=512", "mesh.fsdp=-1")),
    sample=("max_new_tokens=120",),
    evaluate=("max_new_tokens=120",),
)  # fmt: skip

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (FULL, SMOLLM2, TINY)}
Name = Literal["full", "smollm2", "tiny"]


def load(argument: str) -> Preset:
    """Returns the preset of a name.

    Raises:
        UserError: there is none.
    """
    if argument not in PRESETS:
        raise UserError(f"no size '{argument}'{did_you_mean(argument, PRESETS)}; known: {', '.join(PRESETS)}")
    return PRESETS[argument]
