"""Where an auditor disagrees with the grader in use."""

from collections.abc import Sequence
from typing import Any

from rft_jax.evaluate.grade import Answer

_EXAMPLES = 20
_SHOWN = 200  # characters of an answer


def audit(
    grader: str,
    auditor: str,
    judged: Sequence[Sequence[Answer]],
    audited: Sequence[Sequence[Answer] | None],
    sources: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Returns how often the two disagree on whether a path is right, with some examples, as JSON values.

    Args:
        grader, auditor: their names.
        judged: for each problem, the grader's answer on each path.
        audited: likewise the auditor's; None, and not counted, where it cannot read the gold answer.
        sources: for each path of a problem, fields that identify it.
    """
    paths = differing = 0
    examples: list[dict[str, Any]] = []
    for problem, (ours, theirs) in enumerate(zip(judged, audited, strict=True)):
        if theirs is None:
            continue
        paths += len(ours)
        for source, one, other in zip(sources, ours, theirs, strict=True):
            if one.right == other.right:
                continue
            differing += 1
            if len(examples) < _EXAMPLES:
                right_by = grader if one.right else auditor
                answers = {grader: _shown(one), auditor: _shown(other)}
                examples.append({"problem": problem, **source, "correct_by": right_by, "answers": answers})
    return {
        "paths": paths,
        "disagree": differing,
        "share": differing / paths if paths else None,
        "unreadable_gold_answers": sum(theirs is None for theirs in audited),
        "examples": examples,
    }


def _shown(answer: Answer) -> str | None:
    return None if answer.value is None else str(answer.value)[:_SHOWN]
