"""The gold answers of problems, as a grader reads them."""

from collections.abc import Hashable, Sequence

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.task.grader import Grader

_SHOWN = 60  # characters


def gold_answers(problems: Sequence[Problem], grader: Grader, source: str) -> list[Hashable]:
    """Returns the gold answer of each problem.

    Args:
        problems: with their gold responses.
        grader: that decides which answers are right.
        source: where the problems come from, to name it.

    Raises:
        UserError: the grader reads no answer in one of them. Nothing could be right there, and the figures would be
            wrong without a word.
    """
    answers = [grader.parse(problem.response) for problem in problems]
    for answer in answers:
        try:
            hash(answer)
        except TypeError:
            raise UserError(
                f"the grader '{grader.name}' makes a {type(answer).__name__} of a gold answer in {source}, which "
                "cannot be counted in a vote: it must return a text, a number, or a tuple of these"
            ) from None
    unread = [number for number, answer in enumerate(answers) if answer is None]
    if unread:
        first = unread[0]
        also = f", nor in {len(unread) - 1:,} others of {len(problems):,}" if len(unread) > 1 else ""
        raise UserError(
            f"{source}:{first + 1}: the grader '{grader.name}' reads no answer in the gold response "
            f"{_ending(problems[first].response)!r}{also}: mend the file, or choose another grader or task"
        )
    return [answer for answer in answers if answer is not None]


def _ending(text: str) -> str:
    # The answer stands at the end.
    stripped = text.strip()
    last = stripped.rpartition("\n")[2]
    return last if len(last) <= _SHOWN else f"…{last[-_SHOWN:]}"
