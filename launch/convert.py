"""Converts a checkpoint of a training run to a Hugging Face folder with a model card, and pushes it to the hub.

    python launch/convert.py --checkpoint=OUT/checkpoints/100 --output=DIR [--dtype=bf16] [--push=ORG/NAME]

It needs no accelerator, and little more memory than the largest tensor of a layer. A repository on the hub that does
not exist is made, private unless --public is given; all files go there in one commit.
"""

import logging

from absl import flags

from rft_jax import command, runtime
from rft_jax.errors import UserError
from rft_jax.hf import located
from rft_jax.hf.config import is_last
from rft_jax.remote import hub_push
from rft_jax.remote.address import is_remote
from rft_jax.remote.outgoing import outgoing
from rft_jax.report import card
from rft_jax.train.convert import convert

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}

CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of a step: OUT/checkpoints/STEP, or one in a bucket.", required=True
)
OUTPUT = flags.DEFINE_string("output", None, "Hugging Face folder to write; gs:// and s3:// too.", required=True)
TOKENIZER = flags.DEFINE_string("tokenizer", None, "Folder of the tokenizer, if not the run's own.")
DTYPE = flags.DEFINE_enum("dtype", "bfloat16", [*DTYPES.values(), *DTYPES], "Dtype of the written weights.")
SHARD_GB = flags.DEFINE_float("shard_gb", card.SHARD_GB, "The most gigabytes in one file of weights.", lower_bound=1e-6)
PUSH = flags.DEFINE_string("push", None, "ORG/NAME on the Hugging Face hub to upload the folder to.")
PUBLIC = flags.DEFINE_bool("public", False, "Whether a repository that --push makes is public.")


def main() -> None:
    """Reads the flags, converts and pushes."""
    runtime.log_on_process_zero(0)
    if PUSH.value:
        if is_remote(OUTPUT.value):
            raise UserError(f"--output={OUTPUT.value}: --push uploads a folder of this machine, give one")
        hub_push.check(PUSH.value)
    dtype = DTYPES.get(DTYPE.value, DTYPE.value)
    tokenizer = TOKENIZER.value and located.pinned(TOKENIZER.value)
    with outgoing(OUTPUT.value, last=is_last, new=True) as output:
        convert(
            CHECKPOINT.value,
            output,
            tokenizer,
            dtype,
            shard_bytes=round(SHARD_GB.value * 1e9),
            card=lambda origin, run, step, evaluated: card.write(
                origin, run, step=step, dtype=dtype, tokenizer=tokenizer, shard_gb=SHARD_GB.value, evaluated=evaluated
            ),
        )
    if PUSH.value:
        commit = hub_push.push(output, PUSH.value, private=not PUBLIC.value)
        logging.getLogger(__name__).info("pushed: %s", commit)


if __name__ == "__main__":
    command.run(main)
