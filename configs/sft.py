"""Supervised fine-tuning on a file of queries and responses: gold answers (SFT) or selected paths (RFT).

    python launch/train.py --config=configs/sft.py:llama2-7b --config.model=DIR --config.data=FILE --workdir=OUT

Without a size: settings for a model that fits the devices at hand. With one: the paper's, on its number of A100-80GBs.
`:SIZE:paper` does what the reference code does, surprises included (configs/paper/TRAPS.md, traps 1 to 5). `:smollm2`
suits SmolLM2's 135M and 360M, and a laptop's memory: smaller batches and a higher rate, chosen and not tuned.

A model that is too large for the devices: `--config.lora.rank=16 --config.learning_rate=2e-4` trains low-rank adapters
(arXiv 2106.09685) beside its frozen weights, which are then kept in the compute dtype. Adapters want a rate ten times
that of the weights.

| size | A100s | peak rate | what to expect: maj1@1 after SFT on GSM8K (paper, table 1 and figure 2) |
|---|---|---|---|
| llama-7b, llama2-7b | 8 | 2e-5 | 35.9, 41.6 |
| llama-13b, llama2-13b | 8 | 2e-5 | 43.0, 50.0 |
| llama-33b | 16 | 2e-5 | 54.6 |
| llama-65b, llama2-70b | 32 | 2e-5 | 59.3, 63.2 |
"""

import dataclasses

from rft_jax.config import TARGETS, LoraConfig, MeshConfig, TrainConfig
from rft_jax.errors import UserError, did_you_mean

GPUS = {
    "llama-7b": 8, "llama2-7b": 8, "llama-13b": 8, "llama2-13b": 8, "llama-33b": 16, "llama-65b": 32, "llama2-70b": 32,
}  # fmt: skip

# The reference averages one token mean per GPU and forward pass: the examples in each, where not 1
# (per_device_train_batch_size in its train_7b.sh, train_30b.sh and train_70b.sh).
REFERENCE_LOSS_GROUP = {"llama-7b": 4, "llama2-7b": 4, "llama-33b": 2, "llama2-70b": 2}


def get_config(argument: str = "") -> TrainConfig:
    """Returns the settings for `SIZE`, `SIZE:paper`, or for no particular size."""
    config = TrainConfig(
        fraction=1.0,
        epochs=3,
        batch=128,
        seed=0,
        task="gsm8k",
        template=None,
        begin_token=None,
        border="exact",
        max_length=1024,
        packing="prefix",
        row_length=1024,
        loss="token_mean",
        loss_group=4,
        learning_rate=2e-5,
        warmup=0.03,
        decay="cosine",
        weight_decay=0.0,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        clip=1.0,
        moments="float32",
        compute="auto",
        accumulation=1,
        remat="full",
        attention="auto",
        loss_chunk=2048,
        mesh=MeshConfig(data=1, fsdp=-1, tensor=1),
        lora=LoraConfig(rank=0, alpha=32.0, targets=TARGETS, export="merged"),
        save_every=100,
        keep=2,
    )
    if not argument:
        return config
    if argument == "smollm2":
        return dataclasses.replace(config, batch=32, learning_rate=1e-4, accumulation=2, keep=1)
    size, _, preset = argument.partition(":")
    if size not in GPUS:
        told = f"{did_you_mean(size, (*GPUS, 'smollm2'))}; it has {', '.join(GPUS)}; smollm2 is known too"
        raise UserError(f"the paper has no size '{size}'{told}")
    config = dataclasses.replace(config, mesh=MeshConfig(data=1, fsdp=GPUS[size], tensor=1), remat="dots")
    if not preset:
        return config
    if preset != "paper":
        raise UserError(f"configs/sft.py has no preset '{preset}'; known: paper")
    large = GPUS[size] > 8
    return dataclasses.replace(
        config,
        # Llama's </s>; the larger models were trained with the ordinary <s>, which is 1.
        begin_token=1 if large else 2,
        border="joint",
        max_length=512,
        loss="group_mean",
        loss_group=REFERENCE_LOSS_GROUP.get(size, 1),
        decay="linear" if large else "cosine",
    )
