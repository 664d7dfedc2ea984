"""Selects training paths from sampled ones: correct, with equations that hold, one per list of equations.

    python launch/select_paths.py --problems=train.jsonl --paths='7b/paths/*.jsonl,13b/paths/*.jsonl' --output=u.jsonl

writes u.jsonl, the training set, and u.jsonl.stats.json, and prints the funnel. On N machines that share a file system,
the same command with --part=0/N to --part=N-1/N, at any times and in any order, and then with --merge, writes the same.
"""

import sys
from collections.abc import Collection, Iterable

from absl import flags

from rft_jax import command, names, provenance
from rft_jax.errors import did_you_mean
from rft_jax.remote.address import is_remote
from rft_jax.remote.outgoing import outgoing
from rft_jax.select import parts, rules, selection, statistics, workers
from rft_jax.select.job import is_statistics, prepare
from rft_jax.select.part import Part
from rft_jax.task import grader, task

_PROBLEMS = flags.DEFINE_string(
    "problems",
    None,
    "Problems with gold answers: a JSONL file or, for example, hf:openai/gsm8k:main:train.",
    required=True,
)
_PATHS = flags.DEFINE_string(
    "paths",
    None,
    "Patterns of path files (.jsonl, .jsonl.gz, .jsonl.zst), here or in buckets (gs://, s3://), separated by commas; "
    f"paths of several models are united. In the list, {names.QUOTING}; a name that exists is taken literally, "
    "whatever brackets or stars are in it.",
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The training set to write; .gz and .zst are compressed; gs:// and s3:// too.", required=True
)
_TASK = flags.DEFINE_string(
    "task",
    task.DEFAULT,
    "What was asked: gsm8k, gsm8k_chat, math, or a FILE.py with a TASK; behind a colon the fields that are read, as in "
    "math:prompt,solution.",
)
_RULES = flags.DEFINE_string(
    "rules",
    "paper",
    "paper: one path per list of equations, the one that reads least like the others, whatever the order of files; "
    "nearest: the one that reads most like them; random[:SEED]: as many correct paths as paper keeps, drawn; none: "
    "every correct path; reference: the reference's exact output; or a FILE.py with a RULE.",
)
_GRADER = flags.DEFINE_string(
    "grader",
    None,
    "Which answers count as correct: reference, robust, number_or_none, boxed, latex, or a FILE.py with a GRADER; by "
    "default the task's.",
)
_AUDIT = flags.DEFINE_string(
    "audit", None, "Graders that also judge every path, for comparison; by default the task's."
)
_K = flags.DEFINE_list("k", [], "For each of these, also write the set from samples numbered below it.")
_CAP = flags.DEFINE_integer(
    "cap",
    None,
    "The most paths of a problem in a set: of those that the rule chooses the first, of random those by lot.",
    lower_bound=1,
)
_WORKERS = flags.DEFINE_integer("workers", None, "Processes; by default one per processor.", lower_bound=1)
_PART = flags.DEFINE_string(
    "part",
    None,
    "I/N: select for part I, from 0 to N-1, of N parts of the problems, and write that beside the output; when all N "
    "are there, --merge writes the output.",
)
_MERGE = flags.DEFINE_bool("merge", False, "Write the output from all parts, byte for byte as without parts.")
flags.register_validator(
    "k", lambda ks: all(k.isdecimal() and int(k) for k in ks), "must be positive whole numbers such as 1,3,6"
)


def main() -> None:
    """Selects the paths and prints the table."""
    audits = None if _AUDIT.value is None else _names(_AUDIT)
    _refuse_unknown(_TASK, [task.Reference.parse(_TASK.value).name], task.SHIPPED)
    if not rules.is_shipped(_RULES.value):
        _refuse_unknown(_RULES, [_RULES.value], rules.SHIPPED)
    _refuse_unknown(_GRADER, [_GRADER.value or "reference"], grader.SHIPPED)
    _refuse_unknown(_AUDIT, audits or [], grader.SHIPPED)
    part = _part()
    if (part is not None or _MERGE.value) and is_remote(_OUTPUT.value):
        raise flags.Error("--part and --merge need an --output on a file system that all machines share")
    command.show(provenance.line(provenance.software()))  # on stdout, as stderr has errors only
    with outgoing(_OUTPUT.value, last=is_statistics) as output:
        _select(str(output), audits, part)


def _select(output: str, audits: list[str] | None, part: Part | None) -> None:
    job = prepare(
        _PROBLEMS.value,
        _names(_PATHS),
        output,
        rules=_RULES.value,
        task=_TASK.value,
        grader=_GRADER.value,
        audits=audits,
        ks=[int(k) for k in _K.value],
        cap=_CAP.value,
    )
    processes = _WORKERS.value or workers.available()
    if part is not None:
        result = parts.write(job, part, processes)
        command.show(f"{result['folder']}: part {part}, {result['paths']:,} paths")
    else:
        result = parts.merge(job) if _MERGE.value else selection.do(job, processes)
        command.show("\n".join([statistics.table(result), *result["criteria"]["left_out"]]))
    if unchecked := result["unchecked_files"]:
        command.show(f"{unchecked:,} path files have no manifest that names their problems: unchecked.")
    if result["doubtful"]:
        print(
            f"warning: the paths do not seem to match their questions: are they for {_PROBLEMS.value}, in this order?",
            file=sys.stderr,
        )
    for name, rows in result.get("rows", {}).items():
        command.show(f"{name}: {rows['gold']:,} gold rows and {rows['selected']:,} selected")
    if _MERGE.value:
        command.show(f"The parts, {job.target}.part-*, are no longer needed and can be removed.")


def _part() -> Part | None:
    if _PART.value is None:
        return None
    if _MERGE.value:
        raise flags.Error("--part and --merge: give --merge alone, when all parts are there")
    try:
        return Part.parse(_PART.value)
    except ValueError as error:
        raise flags.Error(f"--part={_PART.value}: {error}") from None


def _names(flag: flags.FlagHolder) -> list[str]:
    try:
        return names.split_list(flag.value)
    except ValueError as error:
        raise flags.Error(f"--{flag.name}: {error}") from None


def _refuse_unknown(flag: flags.FlagHolder, references: Iterable[str], shipped: Collection[str]) -> None:
    for reference in references:
        if reference not in shipped and not reference.endswith(".py"):
            known = f"{', '.join(shipped)} or a FILE.py"
            raise flags.Error(f"--{flag.name}={reference}{did_you_mean(reference, shipped)}: give {known}")


if __name__ == "__main__":
    command.run(main)
