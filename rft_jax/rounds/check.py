"""Checks a round: its figures, how they have changed, and whether to go on."""

from collections.abc import Sequence
from typing import Any

from rft_jax.budget import ledger
from rft_jax.errors import UserError
from rft_jax.records import manifest
from rft_jax.records.problem import read_problems
from rft_jax.rounds import entropy, record, rule
from rft_jax.rounds.figures import changes, figures
from rft_jax.rounds.outcomes import Outcomes
from rft_jax.rounds.record import SETTINGS, Asked, Record, Round
from rft_jax.select.criteria import criteria
from rft_jax.select.inputs import find_inputs
from rft_jax.task import task as tasks
from rft_jax.task.gold import gold_answers


def check(
    problems: str, patterns: Sequence[str], *, task: str, grader: str | None = None, previous: str | None = None
) -> tuple[Record, ledger.Ledger]:
    """Returns what is to be told of a round, and the ledger that it was told from.

    Args:
        problems: that were sampled for, see `read_problems`.
        patterns: of the round's path files: of one model, samples 0 to k - 1 of every problem.
        task: what was asked.
        grader: decides what is right; None: the task's.
        previous: round.json of the round before; None: this is the first.

    Raises:
        UserError: as `ledger.read` does; there are fewer than two problems; or what is named as the previous round is
            none, or has other problems, k, grader or settings.
    """
    before = None if previous is None else record.read(previous)
    questions = read_problems(problems, tasks.load(task).reader)
    [in_use] = criteria(task, grader=grader, audits=[], rules="paper").load_graders()
    gold_answers(questions, in_use, problems)
    found = ledger.read(problems, patterns, task=task, grader=grader)
    if found.problems < 2:
        raise UserError(f"{problems} has one problem: it says nothing on others, so there is no interval")
    files = find_inputs(patterns).files
    settings = _settings(files)
    fingerprint = str(manifest.of_problems(questions)["fingerprint"])
    asked = Asked(found.problems, fingerprint, found.k, found.grader, settings)
    if before is not None:
        _refuse_others(before.asked, asked, str(previous), problems)
    nats, why_not = entropy.nats(files, found.problems, settings)
    now = Outcomes.of(found, nats)
    if nats is not None and min(now.tokens) == 0:
        why_not = "all paths of a problem are empty"
    return _next(before, asked, now, found.model, why_not), found


def _next(before: Record | None, asked: Asked, now: Outcomes, model: str, entropy_note: str) -> Record:
    """Returns the record of a round that follows others."""
    k, shown = asked.k, figures(now, asked.k)
    if before is None:
        return Record(asked, (Round(1, model, shown, None, None, (), None, entropy_note),), now, now)
    number = len(before.rounds) + 1
    since_first, since_previous = changes(before.first, now, k), changes(before.last, now, k)
    verdict = rule.judge(k, shown, before.rounds[0].figures, since_first, since_previous, number)
    this = Round(number, model, shown, since_first, since_previous, verdict.collapse, verdict.stop, entropy_note)
    return Record(asked, (*before.rounds, this), before.first, now)


def _settings(files: Sequence[str]) -> dict[str, float | None] | None:
    """Returns how the paths were sampled, by the manifests beside them; None where one is missing.

    Raises:
        UserError: they were not sampled alike.
    """
    told: dict[str, dict[str, Any] | None] = {}
    for file in files:
        beside = manifest.beside(file)
        told[file] = None if beside is None else {name: beside.get(name) for name in SETTINGS}
    different = [(file, settings) for file, settings in told.items() if settings != told[files[0]]]
    if different and different[0][1] is not None and told[files[0]] is not None:
        raise UserError(
            f"{files[0]} and {different[0][0]} were not sampled alike "
            f"({_differ(told[files[0]] or {}, different[0][1])}): name the paths of one round"
        )
    return None if different else told[files[0]]


def _refuse_others(before: Asked, now: Asked, previous: str, problems: str) -> None:
    """Raises UserError if two rounds cannot be compared, problem by problem."""
    if (before.problems, before.fingerprint) != (now.problems, now.fingerprint):
        as_many = before.problems == now.problems
        what = "as many, but others or in another order" if as_many else f"{before.problems:,} of them"
        raise UserError(
            f"{previous} is of other problems than {problems}, which has {now.problems:,} ({what}): "
            "compare rounds on the same problems"
        )
    if before.k != now.k:
        raise UserError(
            f"{previous} has {before.k} samples of each problem and this round {now.k}: pass@k and distinct@k "
            "grow with k, so compare rounds of the same k"
        )
    if before.grader != now.grader:
        raise UserError(f"{previous} was graded by {before.grader}, and this round by {now.grader}: use one grader")
    if before.settings is not None and now.settings is not None and before.settings != now.settings:
        raise UserError(
            f"{previous} was sampled with other settings than this round ({_differ(before.settings, now.settings)}): "
            "its figures differ for that reason, too"
        )


def _differ(one: dict[str, float | None], other: dict[str, float | None]) -> str:
    names = [name for name in SETTINGS if one.get(name) != other.get(name)]
    return ", ".join(f"{name} {one.get(name)} and {other.get(name)}" for name in names)
