"""Replays budgets on finished paths: what each would have sampled, and found.

    python launch/replay.py --paths='OUT/paths/*.jsonl' --problems=train.jsonl --budgets=uniform,distinct=4,tokens=1e6

prints a table. With --output=DIR it also writes DIR/replay.json, with every policy at a range of budgets, and
DIR/replay.html, the curves. The paths are of one model, samples 0 to k-1 of every problem.
"""

import json
import sys
from pathlib import Path

from absl import flags

from rft_jax import command, names, provenance
from rft_jax.budget import ledger, replay
from rft_jax.budget.parse import FORMS
from rft_jax.errors import UserError
from rft_jax.files import make_folder, whole_file
from rft_jax.remote.address import SHARED, local
from rft_jax.report import replay as report
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
_BUDGETS = flags.DEFINE_list("budgets", None, f"What to replay, any of {', '.join(FORMS.values())}.", required=True)
_TASK = flags.DEFINE_string(
    "task", task.DEFAULT, "What was asked: gsm8k, math, or a FILE.py with a TASK; behind a colon the fields."
)
_GRADER = flags.DEFINE_string("grader", None, "Which answers count as right; by default the task's.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.")


def main() -> None:
    """Replays, and prints the table."""
    try:
        patterns = names.split_list(_PATHS.value)
    except ValueError as error:
        raise flags.Error(f"--paths: {error}") from None
    output: Path | None = None if _OUTPUT.value is None else local(_OUTPUT.value, "--output", SHARED)
    if output is not None and not output.parent.is_dir():
        raise UserError(f"cannot write {output}: the folder {output.parent} does not exist")
    if output is not None and output.is_file():
        raise UserError(f"cannot write {output}: it is a file; give --output a folder")
    command.show(provenance.line(provenance.software()))
    found = ledger.read(_PROBLEMS.value, patterns, task=_TASK.value, grader=_GRADER.value)
    if found.doubtful:
        print(
            f"warning: the paths do not seem to match their questions: are they for {_PROBLEMS.value}, in this order?",
            file=sys.stderr,
        )
    result = replay.replay(found, replay.parse_all(_BUDGETS.value, found))
    command.show(replay.table(result))
    if found.unchecked:
        command.show(f"{found.unchecked:,} path files have no manifest that names their problems: unchecked.")
    if output is not None:
        make_folder(output)
        with whole_file(output / "replay.html") as page, whole_file(output / "replay.json") as told:
            page.write_text(report.html(result), encoding="utf-8")
            told.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        command.show(f"{output / 'replay.html'}: the curves")


if __name__ == "__main__":
    command.run(main)
