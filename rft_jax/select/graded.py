"""A path with what the judges say of it, as it goes from the first pass to the second."""

from typing import NamedTuple

# A `Graded` as the spill files hold it: marshal takes plain tuples only.
Fields = tuple[object, ...]


class Graded(NamedTuple):
    """A path as the second pass needs it.

    Attributes:
        problem: the number of its problem.
        piece, line: its line in the piece, from 0; together the order of reading.
        model: its model.
        sample: its number among the model's samples of the problem.
        digest: tells texts apart where `response` is None, else None.
        parsed, correct: by the grader in use.
        audits: whether each auditor says that it is correct; None where it cannot read the gold answer.
        values: the answer as text by the grader in use and by each auditor; empty where all agree on `correct`.
        vote: the answer as text by the grader that votes, or None.
        votes_gold: whether that is the gold answer.
        unfit: why it is not to be trained on, see `rft_jax.task.unfit`, or None; of a correct path.
        equations: the name of the equation list, or None when an equation is wrong or the text is too long; of a
            correct path.
        response: the text where it may be selected, else None.
    """

    problem: int
    piece: int
    line: int
    model: str
    sample: int
    digest: bytes | None
    parsed: bool
    correct: bool
    audits: tuple[bool | None, ...]
    values: tuple[str | None, ...]
    vote: str | None
    votes_gold: bool
    unfit: str | None
    equations: str | None
    response: str | None
