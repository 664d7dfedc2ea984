"""Draws a share of the problems of two files or data sets of the hub, as a pipeline with a fraction does first.

    python launch/draw_problems.py --train=hf:openai/gsm8k:main:train --test=hf:openai/gsm8k:main:test --fraction=0.1 \
        --output=DIR

writes DIR/train.jsonl and DIR/test.jsonl. A smaller fraction is the beginning of a larger one; the test problems are
the same for every seed.
"""

from pathlib import Path

from absl import flags

from rft_jax import command
from rft_jax.pipeline import draw

TRAIN = flags.DEFINE_string("train", None, "Problems to train on.", required=True)
TEST = flags.DEFINE_string("test", None, "Problems to evaluate on.", required=True)
FRACTION = flags.DEFINE_float("fraction", 1.0, "Share of the problems to train on.", upper_bound=1.0)
TEST_FRACTION = flags.DEFINE_float("test_fraction", 1.0, "Share of the problems to evaluate on.", upper_bound=1.0)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the draw of the training problems.")
OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)
for _name in ("fraction", "test_fraction"):
    flags.register_validator(_name, lambda share: share > 0, "must be above 0")


def main() -> None:
    """Reads the flags and writes the files."""
    draw.write(
        Path(OUTPUT.value),
        train=TRAIN.value,
        test=TEST.value,
        fraction=FRACTION.value,
        test_fraction=TEST_FRACTION.value,
        seed=SEED.value,
    )


if __name__ == "__main__":
    command.run(main)
