"""Judging paths one by one: are they right, by each grader, and may they be selected."""

import hashlib
import marshal
import pathlib
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from rft_jax.records.path import Path
from rft_jax.select.criteria import Criteria
from rft_jax.select.farthest import MAX_CHARACTERS
from rft_jax.select.graded import Fields
from rft_jax.task.grader import Grader
from rft_jax.task.unfit import unfit

_GOLD = "gold"
_SHOWN = 200  # characters of an answer
_MAX_REMEMBERED, _REMEMBERED = 2_000, 1 << 14  # characters of a response, verdicts


class _Verdict(NamedTuple):
    """What the graders say; the attributes of `Graded`."""

    parsed: bool
    correct: bool
    audits: tuple[bool | None, ...]
    values: tuple[str | None, ...]
    vote: str | None
    votes_gold: bool


class Judge:
    """Judges the paths of some problems; each process makes its own.

    Attributes:
        problems: the numbers of those whose paths it judges.
    """

    def __init__(self, criteria: Criteria, first: int, gold: Sequence[str]) -> None:
        """Reads the gold answers.

        Args:
            criteria: that decide.
            first: the number of the first problem.
            gold: the gold responses of the problems from that one on.
        """
        self.problems = range(first, first + len(gold))
        self._gold = list(gold)
        self._graders = criteria.load_graders()
        # Auditors may fail to read a gold answer; the grader in use reads all (`gold_answers`).
        self._answers = [[grader.parse(response) for response in self._gold] for grader in self._graders]
        # Votes can be counted where equal answers are equal values; the reference's `18` and `18.0` are two.
        plain = [place for place, grader in enumerate(self._graders) if type(grader).equal is Grader.equal]
        self._voter = plain[0] if plain else 0
        rule = criteria.load_rule()
        self._takes_unfit, self._needs_equations = rule.takes_unfit, rule.needs_equations
        self._equations = criteria.load_equations()
        self._stops = criteria.load_task().template.stops

        self._parsers = [grader.parse for grader in self._graders]
        self._known: dict[tuple[int, ...], tuple[list[Hashable | None], _Verdict]] = {}
        self._killed: Counter[str] = Counter()
        self.killed()  # gold answers are no paths, and each process reads them

    def killed(self) -> Counter[str]:
        """Returns how many answers each grader gave up on since the last call: they took too long to read."""
        now = Counter({grader.name: getattr(grader, "killed", 0) for grader in self._graders})
        since, self._killed = now - self._killed, now
        return since

    def grade(self, path: Path, piece: int, line: int) -> Fields:
        """Returns the fields of a `Graded`; piece and line are the path's place."""
        number, sample, model, response, _, finish, _ = path
        answers = [parse(response) for parse in self._parsers]
        # The samples of a problem repeat their answers, and graders remember what they read: equal answers are mostly
        # one object; to hash it (a fraction, for one) would take longer than all else here.
        key = (number, *map(id, answers))
        known = self._known.get(key)
        verdict = self._judged(key, answers, len(response)) if known is None else known[1]
        if not verdict.correct:
            return (number, piece, line, model, sample, _digest(response), *verdict, None, None, None)
        reason = None
        if finish == "length" or not response.isascii():  # the others are fit
            reason = unfit(path, self._gold[number - self.problems.start], self._stops)
        equations = self._equations.key(response) if len(response) <= MAX_CHARACTERS else None
        if (reason is None or self._takes_unfit) and (equations is not None or not self._needs_equations):
            return (number, piece, line, model, sample, None, *verdict, reason, equations, response)
        return (number, piece, line, model, sample, _digest(response), *verdict, reason, equations, None)

    def _judged(self, key: tuple[int, ...], answers: list[Hashable | None], characters: int) -> _Verdict:
        verdict = self._verdict(key[0], answers)
        # Texts of hostile length must not stay in memory.
        if characters <= _MAX_REMEMBERED:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = (answers, verdict)  # while it holds the answers, nothing else has their ids
        return verdict

    def _verdict(self, number: int, answers: list[Hashable | None]) -> _Verdict:
        right: list[bool | None] = []
        place = number - self.problems.start
        for grader, answer, gold in zip(self._graders, answers, self._answers, strict=True):
            known = gold[place]
            right.append(None if known is None else answer is not None and grader.equal_in_selection(answer, known))
        correct, *audits = right
        differing = any(audit not in (correct, None) for audit in audits)
        vote = answers[self._voter]
        return _Verdict(
            answers[0] is not None,
            bool(correct),
            tuple(audits),
            tuple(map(_shown, answers)) if differing else (),
            None if vote is None else str(vote),
            bool(right[self._voter]),
        )


def write_gold(folder: pathlib.Path, first: int, responses: Sequence[str]) -> None:
    """Writes gold responses, from problem `first` on, for the judges of this run: once, not with each of its tasks."""
    # Read back by this run, so by the same Python.
    (folder / _GOLD).write_bytes(marshal.dumps((first, list(responses))))


def read_gold(folder: pathlib.Path) -> tuple[int, list[str]]:
    """Returns what `write_gold` was given."""
    first, gold = marshal.loads((folder / _GOLD).read_bytes())
    return first, gold


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()


def _shown(answer: object) -> str | None:
    return None if answer is None else str(answer)[:_SHOWN]
