"""Measures one stage of this project beside its peers and the hardware's limit, in the same run.

python launch/benchmark.py --what=select|budget|equations|tokens|load|train|sample
"""

import pathlib
import sys
from collections.abc import Iterable

from absl import flags

from rft_jax import command

_WHAT = flags.DEFINE_enum(
    "what",
    None,
    ["select", "select_parts", "budget", "equations", "tokens", "load", "train", "sample"],
    "The stage to measure.",
    required=True,
)
_PROBLEMS = flags.DEFINE_integer("problems", 7_473, "select, budget: problems in the full-size run.", lower_bound=1)
_WORKERS = flags.DEFINE_integer("workers", None, "select: processes in the full-size run.", lower_bound=1)
_GIGABYTES = flags.DEFINE_float("gigabytes", 2.0, "load: about the size of the checkpoint.", lower_bound=0.2)
_ROUNDS = flags.DEFINE_integer(
    "rounds", None, "load: runs of each phase (5); sample: of each engine (1).", lower_bound=1
)
_DATA = flags.DEFINE_string(
    "data",
    "../shared/data/gsm8k/train.jsonl",
    "tokens, train, sample: GSM8K's training problems; sample: test.jsonl beside them is the test problems.",
)
_RESPONSES = flags.DEFINE_string(
    "responses", "../shared/data/released_model/greedy_fp32.jsonl", "equations: a released model's responses."
)
_MODEL = flags.DEFINE_string(
    "model",
    None,
    "tokens: folder whose tokenizer is measured (the embedded one); train: of the model (random weights).",
)
_EXAMPLES = flags.DEFINE_integer("examples", 100_000, "tokens: rows of an imitated selected set.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 128, "train: examples per step.", lower_bound=8)
_STEPS = flags.DEFINE_integer("steps", 3, "train: steps to measure.", lower_bound=1)
_MICROBATCH = flags.DEFINE_integer("microbatch", 8, "train: examples per forward pass.", lower_bound=1)
_WORKLOADS = flags.DEFINE_list("workloads", None, "sample: names of the workloads; all by default.")
_SIZE = flags.DEFINE_string("size", None, "sample: an architecture instead of the workloads' own.")
_ROWS = flags.DEFINE_integer("rows", 0, "sample: samples in flight in our engine; 0: it chooses.", lower_bound=0)
_SECONDS = flags.DEFINE_float("seconds", 60.0, "sample: time for each engine, workload and round.", lower_bound=1)
_PEER_PYTHON = flags.DEFINE_string("peer_python", sys.executable, "sample: the Python that has google-tunix.")


def main() -> None:
    """Runs the benchmark asked for, importing no other: selection needs no accelerator and no JAX."""
    report: Iterable[str]
    if _WHAT.value == "select":
        from rft_jax.benchmark import select
        from rft_jax.select import workers

        report = select.run(_PROBLEMS.value, _WORKERS.value or workers.available())
    elif _WHAT.value == "select_parts":
        from rft_jax.benchmark import select_parts

        report = select_parts.run()
    elif _WHAT.value == "budget":
        from rft_jax.benchmark import budget

        report = budget.run(_PROBLEMS.value)
    elif _WHAT.value == "equations":
        from rft_jax.benchmark import equations

        report = equations.run(pathlib.Path(_RESPONSES.value))
    elif _WHAT.value == "tokens":
        from rft_jax.benchmark import tokens

        report = tokens.run(pathlib.Path(_MODEL.value or "rft_jax/world/base_model"), _DATA.value, _EXAMPLES.value)
    elif _WHAT.value == "load":
        from rft_jax.benchmark import load

        report = load.run(gigabytes=_GIGABYTES.value, rounds=_ROUNDS.value or 5)
    elif _WHAT.value == "train":
        from rft_jax.benchmark import train

        config = train.settings(_DATA.value, _BATCH.value, _MICROBATCH.value, _MODEL.value)
        report = train.run(config, steps=_STEPS.value, microbatch=_MICROBATCH.value)
    elif _WHAT.value == "sample":
        from rft_jax.benchmark import sample

        report = sample.run(
            problems_file=_DATA.value,
            names=_WORKLOADS.value,
            size=_SIZE.value,
            rows=_ROWS.value,
            seconds=_SECONDS.value,
            rounds=_ROUNDS.value or 1,
            peer_python=_PEER_PYTHON.value,
        )
    else:
        raise AssertionError(f"no benchmark of {_WHAT.value}")
    for line in report:  # as they are made
        command.show(line)


if __name__ == "__main__":
    command.run(main)
