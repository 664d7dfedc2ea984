"""Converts a checkpoint of a training run to a Hugging Face folder.

    python launch/convert.py --checkpoint=OUT/checkpoints/100 --output=DIR

It needs no accelerator, and little more memory than the largest tensor of a layer.
"""

from absl import flags

from rft_jax import command, runtime
from rft_jax.hf.config import is_last
from rft_jax.remote.outgoing import outgoing
from rft_jax.train.convert import convert

CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of a step: OUT/checkpoints/STEP, or one in a bucket.", required=True
)
OUTPUT = flags.DEFINE_string("output", None, "Hugging Face folder to write; gs:// and s3:// too.", required=True)
TOKENIZER = flags.DEFINE_string("tokenizer", None, "Folder of the tokenizer, if not the run's own.")
DTYPE = flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float16", "float32"], "Dtype of the written weights.")


def main() -> None:
    """Reads the flags and converts."""
    runtime.log_on_process_zero(0)
    with outgoing(OUTPUT.value, last=is_last, new=True) as output:
        convert(CHECKPOINT.value, output, TOKENIZER.value, DTYPE.value)


if __name__ == "__main__":
    command.run(main)
