"""A selection as it was asked for: everything that it needs is there and fits together, before any path is graded."""

import dataclasses
import pathlib
from collections.abc import Sequence

from rft_jax.errors import UserError
from rft_jax.records import manifest
from rft_jax.records.lines import with_infix
from rft_jax.records.problem import Problem, read_problems
from rft_jax.select.criteria import Criteria, criteria
from rft_jax.select.inputs import Inputs, find_inputs
from rft_jax.select.tally import EVERY_SAMPLE, PAPER_KS, Tally
from rft_jax.task.gold import gold_answers
from rft_jax.task.task import DEFAULT

_STATISTICS = ".stats.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A selection to do.

    Attributes:
        target: the training set to write.
        questions: the problems.
        patterns: of the path files.
        inputs: these files.
        criteria: that decide.
        prefixes: the sets to write: k for the samples numbered below k, None for all, which is the first.
        ks: the prefixes to count.
        grader: the name of the one in use.
        unread: auditor's name -> problems whose gold answer it cannot read.
        unchecked: the path files that have no manifest that names their problems.
        cap: the most paths of a problem in a set, None for all that the rule chooses.
        always: the models whose samples stopped by what they showed, each with how many every problem surely has.
    """

    target: pathlib.Path
    questions: list[Problem]
    patterns: Sequence[str]
    inputs: Inputs
    criteria: Criteria
    prefixes: list[int | None]
    ks: list[int]
    grader: str
    unread: dict[str, int]
    unchecked: list[str]
    cap: int | None = None
    always: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> list[pathlib.Path]:
        """The file of each prefix's set."""
        return _names(self.target, self.prefixes)

    @property
    def statistics(self) -> pathlib.Path:
        """The file of the statistics."""
        return _statistics(self.target)

    def no_counts(self) -> Tally:
        """Returns an empty tally."""
        return Tally.of_graders([self.grader, *self.unread])


def prepare(
    problems: str,
    patterns: Sequence[str],
    output: str,
    *,
    rules: str,
    ks: Sequence[int],
    task: str = DEFAULT,
    grader: str | None = None,
    audits: Sequence[str] | None = None,
    cap: int | None = None,
) -> Job:
    """Returns the job.

    Args:
        problems: a file or data set, see `read_problems`.
        patterns: of path files; the models' order is that of the first pattern in which each occurs, then by name.
        output: a JSONL file; the set of the samples below 3 goes to the same name with `.k3` before its suffix.
        rules, task, grader, audits: what decides, see `criteria`.
        ks: the prefixes to write beside the set of all samples.
        cap: the most paths of a problem in a set; None: all that the rule chooses.

    Raises:
        UserError: something in the input is wrong.
    """
    target = pathlib.Path(output)
    if not target.parent.is_dir():
        raise UserError(f"cannot write {output}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise UserError(f"cannot write {output}: it is a folder")
    decide = criteria(task, grader=grader, audits=audits, rules=rules)
    inputs = find_inputs(patterns)
    prefixes: list[int | None] = [None, *sorted(set(ks))]
    inputs.refuse_to_write(map(str, (*_names(target, prefixes), _statistics(target))), problems)
    questions = read_problems(problems, decide.load_task().reader)
    in_use, *auditors = decide.load_graders()
    gold_answers(questions, in_use, problems)
    return Job(
        target=target,
        questions=questions,
        patterns=patterns,
        inputs=inputs,
        criteria=decide,
        prefixes=prefixes,
        ks=sorted({*PAPER_KS, *ks, EVERY_SAMPLE}),
        grader=in_use.name,
        unread={
            auditor.name: sum(auditor.parse(problem.response) is None for problem in questions) for auditor in auditors
        },
        unchecked=manifest.check(inputs.files, questions, problems),
        cap=cap,
        always=manifest.always_sampled(inputs.files),
    )


def _names(target: pathlib.Path, prefixes: Sequence[int | None]) -> list[pathlib.Path]:
    return [target if prefix is None else with_infix(target, f"k{prefix}") for prefix in prefixes]


def _statistics(target: pathlib.Path) -> pathlib.Path:
    return target.with_name(f"{target.name}{_STATISTICS}")


def is_statistics(name: str) -> bool:
    """Tells whether a file's name is that of statistics, which are written last."""
    return name.endswith(_STATISTICS)
