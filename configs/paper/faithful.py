"""The paper's loop on one model with the surprises of the reference's code: preset `paper` and `rules=reference`.

    python launch/pipeline.py --config=configs/paper/faithful.py:full --workdir=OUT
    python launch/pipeline.py --config=configs/paper/faithful.py:tiny --workdir=OUT

`full` is Llama 2 7B of the hub; `SIZE=FOLDER`, as in `llama2-13b=/models/13b`, is another size of configs/sft.py;
`tiny` is the embedded base model on 80 of its problems, in about three minutes on two cores. README.md beside this file
lists the reference's surprises, and what is not reproduced.

What to expect of `full` (paper, table 1): 41.6 % after SFT, 47.5 % after RFT.
"""

import os
from pathlib import Path

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, StageConfig, TrainStage, WorldStage
from rft_jax.errors import UserError

BASE = Path(__file__).parents[2] / "rft_jax" / "world" / "base_model"
FULL = "llama2-7b=hf:meta-llama/Llama-2-7b-hf"


def get_config(argument: str = "full") -> PipelineConfig:
    """Returns the loop for `full`, `tiny` or `SIZE=FOLDER`."""
    if argument == "tiny":
        return _tiny()
    size, equals, folder = (FULL if argument == "full" else argument).partition("=")
    if not (size and equals and folder):
        raise UserError(f"configs/paper/faithful.py has no '{argument}': give full, tiny or SIZE=FOLDER")
    return PipelineConfig(
        problems="hf:openai/gsm8k:main:train",
        test="hf:openai/gsm8k:main:test",
        models=(f"base={folder}",),
        train=f"configs/sft.py:{size}:paper",
        sample=f"configs/sample.py:{size}:paper",
        evaluate="configs/evaluate.py:paper",
        k=100,
        temperature=0.7,
        seed=0,
        stages=tuple(_stages(k=100)),
    )


def _tiny() -> PipelineConfig:
    return PipelineConfig(
        problems="world/train.jsonl",
        test="world/test.jsonl",
        models=(f"base={os.path.relpath(BASE)}",),
        train="configs/sft.py:llama2-7b:paper",
        sample="configs/sample.py:paper",
        evaluate="configs/evaluate.py:paper",
        # What suits a small model and two cores; nothing that the preset is about.
        train_settings=(
            "epochs=2", "batch=16", "learning_rate=5e-4", "mesh.fsdp=-1", "packing=none", "remat=none", "keep=1",
        ),
        sample_settings=("max_new_tokens=120", "rows=32"),
        evaluate_settings=("max_new_tokens=120", "rows=32", "k=4"),
        k=4,
        temperature=0.7,
        seed=0,
        stages=(WorldStage(name="world", train=80, test=40, seed=0), *_stages(k=4)),
    )  # fmt: skip


def _stages(k: int) -> list[StageConfig]:
    """Returns the stages; RFT is on one sample per problem less than there are, as the reference collects them."""
    return [
        TrainStage(name="sft", model="base", data="gold"),
        EvaluateStage(name="sft-eval", model="sft"),
        SampleStage(name="paths", model="sft"),
        SelectStage(name="set", paths=("paths",), rules="reference", ks=(k - 1,)),
        TrainStage(name="rft", model="base", data="set", k=k - 1),
        EvaluateStage(name="rft-eval", model="rft", against=("sft-eval",)),
    ]
