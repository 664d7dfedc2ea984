"""Compares test problems with training problems, and with any other texts, and lists those that are alike.

    python launch/contamination.py --test=hf:openai/gsm8k:main:test --train=hf:openai/gsm8k:main:train --output=DIR

writes DIR/pairs.jsonl, a line for each pair, and DIR/contamination.json, how many there are of each kind.
"""

import sys
from pathlib import Path

from absl import flags

from rft_jax import command, names, provenance
from rft_jax.contamination import summary
from rft_jax.contamination.compare import PAIRS, compare
from rft_jax.remote.address import SHARED, local
from rft_jax.select import workers
from rft_jax.task import task

_TEST = flags.DEFINE_string(
    "test", None, "Problems to evaluate on: a JSONL file or, for example, hf:openai/gsm8k:main:test.", required=True
)
_TRAIN = flags.DEFINE_string("train", None, "Problems to train on, likewise.", required=True)
_CORPUS = flags.DEFINE_string(
    "corpus",
    "",
    "More texts to compare with, such as pre-training data: patterns of files (JSONL or Parquet, of which every string "
    f"counts, or plain text; .gz and .zst too) or data sets of the hub, separated by commas. In the list, "
    f"{names.QUOTING}.",
)
_TASK = flags.DEFINE_string(
    "task", task.DEFAULT, "Reads the problems: gsm8k, math, or a FILE.py with a TASK; behind a colon the fields."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)
_WORKERS = flags.DEFINE_integer("workers", None, "Processes; by default one per processor.", lower_bound=1)


def main() -> None:
    """Compares, and prints the counts and a warning if test problems are there as they are."""
    try:
        corpora = names.split_list(_CORPUS.value)
    except ValueError as error:
        raise flags.Error(f"--corpus: {error}") from None
    command.show(provenance.line(provenance.software()))
    output: Path = local(_OUTPUT.value, "--output", SHARED)
    result = compare(
        _TEST.value,
        _TRAIN.value,
        corpora,
        output,
        task=_TASK.value,
        workers=_WORKERS.value or workers.available(),
    )
    command.show(f"{summary.table(result)}\n{result['listed']:,} pairs are listed in {output / PAIRS}")
    for line in summary.warnings(result):
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    command.run(main)
