"""Checks a round of RFT by its paths: pass@1, pass@k, distinct@k, entropy, and whether to go on to the next.

    python launch/check_round.py --problems=train.jsonl --paths='OUT/paths-1/paths/*.jsonl' --output=round-1.json
    python launch/check_round.py --problems=train.jsonl --paths='OUT/paths-2/paths/*.jsonl' --previous=round-1.json \
        --output=round-2.json

The paths are of one model, samples 0 to k-1 of every problem; the rounds have the same problems and settings. Entropy
needs paths that were sampled with `--config.logprobs=True`. The exit code is 0 whatever the rule says, which is
in the file and on the terminal.
"""

import sys

from absl import flags

from rft_jax import command, names, provenance
from rft_jax.errors import UserError
from rft_jax.files import refuse_to_replace
from rft_jax.remote.address import SHARED, local
from rft_jax.rounds import check, show
from rft_jax.select.inputs import find_inputs
from rft_jax.task import task

_PROBLEMS = flags.DEFINE_string(
    "problems", None, "Problems with gold answers: a JSONL file or, for example, hf:openai/gsm8k:main:train.",
    required=True,
)  # fmt: skip
_PATHS = flags.DEFINE_string(
    "paths",
    None,
    f"Patterns of path files of one model, as for select_paths.py, separated by commas. In the list, {names.QUOTING}.",
    required=True,
)
_TASK = flags.DEFINE_string(
    "task", task.DEFAULT, "What was asked: gsm8k, math, or a FILE.py with a TASK; behind a colon the fields."
)
_GRADER = flags.DEFINE_string("grader", None, "Which answers count as right; by default the task's.")
_PREVIOUS = flags.DEFINE_string("previous", None, "What this command wrote of the round before; none: the first round.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.", required=True)


def main() -> None:
    """Checks, prints the table and writes the file."""
    try:
        patterns = names.split_list(_PATHS.value)
    except ValueError as error:
        raise flags.Error(f"--paths: {error}") from None
    output = local(_OUTPUT.value, "--output", SHARED)
    previous = None if _PREVIOUS.value is None else str(local(_PREVIOUS.value, "--previous", SHARED))
    if not output.parent.is_dir() or output.is_dir():
        raise UserError(f"cannot write {output}: give the name of a file in a folder that exists")
    refuse_to_replace([_PROBLEMS.value, *find_inputs(patterns).files, *([previous] if previous else [])], output)
    command.show(provenance.line(provenance.software()))
    result, found = check.check(_PROBLEMS.value, patterns, task=_TASK.value, grader=_GRADER.value, previous=previous)
    if found.doubtful:
        print(
            f"warning: the paths do not seem to match their questions: are they for {_PROBLEMS.value}, in this order?",
            file=sys.stderr,
        )
    command.show(show.table(result))
    if found.unchecked:
        command.show(f"{found.unchecked:,} path files have no manifest that names their problems: unchecked.")
    result.write(output)


if __name__ == "__main__":
    command.run(main)
