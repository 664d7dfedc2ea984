"""Judging paths one by one: are they right, by each grader, and may they be selected."""

import functools
import hashlib
import marshal
import pathlib
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from rft_jax.records.path import Path
from rft_jax.select.criteria import Criteria
from rft_jax.select.farthest import MAX_CHARACTERS
from rft_jax.select.graded import Graded
from rft_jax.task.grader import Grader
from rft_jax.task.unfit import unfit

_GOLD = "gold"
_SHOWN = 200  # characters of an answer
_MAX_REMEMBERED = 2_000  # characters of a response


class _Verdict(NamedTuple):
    """What the graders say; the attributes of `Graded`."""

    parsed: bool
    correct: bool
    audits: tuple[bool | None, ...]
    values: tuple[str | None, ...]
    vote: str | None
    votes_gold: bool


class Judge:
    """Judges the paths of all problems; each process makes its own from `write_gold`'s file."""

    def __init__(self, criteria: Criteria, folder: pathlib.Path) -> None:
        """Reads the gold responses.

        Args:
            criteria: that decide.
            folder: where `write_gold` wrote.
        """
        self._gold: list[str] = marshal.loads((folder / _GOLD).read_bytes())
        self._graders = criteria.load_graders()
        # Auditors may fail to read a gold answer; the grader in use reads all (`gold_answers`).
        self._answers = [[grader.parse(response) for response in self._gold] for grader in self._graders]
        # Votes can be counted where equal answers are equal values; the reference's `18` and `18.0` are two.
        plain = [place for place, grader in enumerate(self._graders) if type(grader).equal is Grader.equal]
        self._voter = plain[0] if plain else 0
        self._rule = criteria.load_rule()
        self._equations = criteria.load_equations()
        self._stops = criteria.load_task().template.stops

        self._remembered = functools.lru_cache(maxsize=1 << 14)(self._verdict)

    @property
    def problems(self) -> int:
        """How many problems there are."""
        return len(self._gold)

    def grade(self, path: Path, piece: int, line: int) -> Graded:
        """Returns a path with its grades; piece and line are its place."""
        response, number = path.response, path.problem
        # The samples of a problem repeat their answers. Texts of hostile length must not stay in the cache.
        verdict = self._remembered if len(response) <= _MAX_REMEMBERED else self._verdict
        given = verdict(number, *[grader.parse(response) for grader in self._graders])
        reason = equations = None
        selectable = False
        if given.correct:
            reason = unfit(path, self._gold[number], self._stops)
            equations = self._equations.key(response) if len(response) <= MAX_CHARACTERS else None
            selectable = (reason is None or self._rule.takes_unfit) and (
                equations is not None or not self._rule.needs_equations
            )
        return Graded(
            number,
            piece,
            line,
            path.model,
            path.sample,
            None if selectable else _digest(response),
            *given,
            reason,
            equations,
            response if selectable else None,
        )

    def _verdict(self, number: int, *answers: Hashable | None) -> _Verdict:
        right: list[bool | None] = []
        for grader, answer, gold in zip(self._graders, answers, self._answers, strict=True):
            known = gold[number]
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


def write_gold(folder: pathlib.Path, responses: Sequence[str]) -> None:
    """Writes the gold responses of all problems for the judges of this run: once, not with each of its tasks."""
    (folder / _GOLD).write_bytes(marshal.dumps(list(responses)))  # read back by this run, so by the same Python


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()


def _shown(answer: object) -> str | None:
    return None if answer is None else str(answer)[:_SHOWN]
