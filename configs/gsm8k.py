"""The paper's loop on GSM8K with any Llama folders: SFT, k paths per problem, selection, union, RFT, and again.

    python launch/pipeline.py --config=configs/gsm8k.py:llama2-7b=/models/Llama-2-7b-hf --workdir=OUT

Several models, NAME=FOLDER separated by commas, sample paths and share them; put a comma that is part of a folder's
name inside double quotes or after a backslash. A FOLDER may be a model of the hub, hf:ORG/NAME[@REVISION]. A name that
is a size in configs/sft.py (llama2-7b, llama2-13b, ...) gets the paper's settings for it; any other name gets one
setting for the devices at hand. Each stage is one process on this machine's devices: 8 A100s are enough for 7B and 13B.
From 33B on, add `--config.sample_settings=mesh.tensor=8` and likewise for evaluate_settings. With `--submit=slurm` each
stage is a job of its own, on the nodes and GPUs that its script in launch/slurm/ names; `--submit=print` shows the
commands. Each `+` after the models adds a round, in which the trained models sample. The problems are downloaded from
the hub once; for local copies use `--config.problems=train.jsonl --config.test=test.jsonl`. `--config.k=4` and the like
override settings. RFT's two controls, which the pipeline adds, train twice more per set; `--config.controls=` leaves
them out. `--dry_run --hardware=a100-80g` estimates what it takes.

What to expect (paper, tables 1 and 2): llama2-7b 41.6 % after SFT, 47.5 % after RFT with k = 100, 50.3 % on the union
of four models; about 5 distinct paths per problem at k = 100.
"""

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, StageConfig, TrainStage
from rft_jax.errors import UserError
from rft_jax.names import split_list

SIZES = ("llama-7b", "llama2-7b", "llama-13b", "llama2-13b", "llama-33b", "llama-65b", "llama2-70b")


def get_config(argument: str = "") -> PipelineConfig:
    """Returns the loop for `NAME=FOLDER[,NAME=FOLDER…]`, with another round for each `+` at the end."""
    try:
        models = tuple(split_list(argument.rstrip("+")))
    except ValueError as error:
        raise UserError(f"--config=configs/gsm8k.py:{argument}: {error}") from None
    if not argument or any("=" not in model for model in models):
        raise UserError("name the models: --config=configs/gsm8k.py:NAME=FOLDER[,NAME=FOLDER…]")
    names = [model.partition("=")[0] for model in models]
    rounds = 1 + len(argument) - len(argument.rstrip("+"))
    stages: list[StageConfig] = []
    for name in names:
        stages += [
            TrainStage(name=f"{name}-sft", model=name, data="gold", config=_train_config(name)),
            EvaluateStage(name=f"{name}-sft-eval", model=f"{name}-sft"),
        ]
    sampled: dict[str, list[str]] = {name: [] for name in names}
    teacher = "sft"
    for number in range(1, rounds + 1):
        for name in names:
            stages.append(SampleStage(name=f"{name}-paths{number}", model=f"{name}-{teacher}"))
            sampled[name].append(f"{name}-paths{number}")
        every = tuple(path for name in names for path in sampled[name])
        sets = {f"{name}-rft{number}": (name, tuple(sampled[name])) for name in names}
        if len(names) > 1:
            sets |= {f"{name}-union{number}": (name, every) for name in names}
        for run, (name, paths) in sets.items():
            stages += [
                SelectStage(name=f"{run}-set", paths=paths),
                # RFT starts from the model before SFT, as in the paper.
                TrainStage(name=run, model=name, data=f"{run}-set", config=_train_config(name)),
                EvaluateStage(name=f"{run}-eval", model=run, against=(f"{name}-sft-eval",)),
            ]
        teacher = f"union{number}" if len(names) > 1 else f"rft{number}"
    return PipelineConfig(
        problems="hf:openai/gsm8k:main:train",
        test="hf:openai/gsm8k:main:test",
        models=models,
        k=100,
        temperature=0.7,
        seed=0,
        stages=tuple(stages),
    )


def _train_config(name: str) -> str:
    return f"configs/sft.py:{name}" if name in SIZES else "configs/sft.py"
