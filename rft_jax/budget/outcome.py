"""What a policy sees of a path: whether it is right, whether it is new, what it cost."""

import hashlib
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from rft_jax.errors import UserError
from rft_jax.records.path import Path
from rft_jax.records.problem import Problem
from rft_jax.select.criteria import Criteria, criteria
from rft_jax.select.graded import Graded
from rft_jax.select.judge import Judge
from rft_jax.task.gold import gold_answers

_MOST_TOKENS = 10**9


class Outcome(NamedTuple):  # there is one for each path
    """What came of one sample.

    Attributes:
        right: whether its answer is the gold one, by the grader in use.
        key: stands for its list of equations where the path may be selected, else None; equal lists, equal keys.
        tokens: its length.
    """

    right: bool
    key: Hashable | None
    tokens: int


class Grading:
    """Makes outcomes of paths exactly as the selection by the rules `paper` would judge them."""

    def __init__(self, problems: Sequence[Problem], source: str, task: str, grader: str | None = None) -> None:
        """Reads the gold answers.

        Args:
            problems: that are sampled.
            source: where they come from, to name it.
            task: what is asked.
            grader: decides what is right; None: the task's.

        Raises:
            UserError: task or grader is not there, or the grader cannot read a gold answer: nothing could be right.
        """
        decide: Criteria = criteria(task, grader=grader, audits=[], rules="paper")
        [in_use] = decide.load_graders()
        try:
            gold_answers(problems, in_use, source)
        except UserError as error:
            raise UserError(f"a budget by what is right needs gold answers, or take budget=uniform: {error}") from None
        self.grader = in_use.name
        self._judge = Judge(decide, 0, [problem.response for problem in problems])

    def outcome(self, path: Path) -> Outcome:
        """Returns what came of a path.

        Raises:
            ValueError: the path does not tell how many tokens it has, or no response has so many.
        """
        if path.tokens is None or path.tokens > _MOST_TOKENS:
            told = "no number of tokens" if path.tokens is None else "more tokens than any response"
            raise ValueError(f"sample {path.sample} of problem {path.problem} has {told}")
        graded = Graded._make(self._judge.grade(path, 0, 0))
        key = None if graded.response is None or graded.equations is None else _digest(graded.equations)
        return Outcome(graded.correct, key, path.tokens)


def _digest(equations: str) -> bytes:
    """Returns 16 bytes: a list may be as long as a response, and all lists of a run are in memory."""
    return hashlib.blake2b(equations.encode(errors="surrogatepass"), digest_size=16).digest()
