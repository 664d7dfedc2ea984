"""Selects training paths from sampled ones: correct, equations that hold, one for each equation list.

    python launch/select_paths.py --problems=train.jsonl --paths='7b/paths/*.jsonl,13b/paths/*.jsonl' --output=u.jsonl

writes u.jsonl, the training set, and u.jsonl.stats.json, and prints the funnel.
"""

from absl import flags

from rft_jax import command
from rft_jax.select import block, statistics, workers
from rft_jax.select.selection import select
from rft_jax.task import answer

_PROBLEMS = flags.DEFINE_string(
    "problems",
    None,
    "Problems with gold answers: a JSONL file or, for example, hf:openai/gsm8k:main:train.",
    required=True,
)
_PATHS = flags.DEFINE_list(
    "paths", None, "Globs of path files (.jsonl, .jsonl.gz, .jsonl.zst); several unite several models.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The training set to write; .gz and .zst are compressed.", required=True)
_RULES = flags.DEFINE_enum(
    "rules", "paper", block.RULES, "paper: whatever the order of files; reference: its bytes; none: every correct path."
)
_GRADER = flags.DEFINE_enum("grader", "reference", answer.GRADERS, "Which answers count as correct.")
_K = flags.DEFINE_list("k", [], "For each of these, also write the set of the samples numbered below it.")
_WORKERS = flags.DEFINE_integer("workers", None, "Processes; by default one for each processor.", lower_bound=1)
flags.register_validator(
    "k", lambda ks: all(k.isdecimal() and int(k) for k in ks), "must be positive whole numbers such as 1,3,6"
)


def main() -> None:
    """Selects, and prints the table."""
    result = select(
        _PROBLEMS.value,
        _PATHS.value,
        _OUTPUT.value,
        rules=_RULES.value,
        grader=_GRADER.value,
        ks=[int(k) for k in _K.value],
        workers=_WORKERS.value or workers.available(),
    )
    print(statistics.table(result))
    for name, rows in result["rows"].items():
        print(f"{name}: {rows['gold']:,} gold rows and {rows['selected']:,} selected")


if __name__ == "__main__":
    command.run(main)
