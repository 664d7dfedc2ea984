"""Right paths that nobody should train on: those that ran on into another question, and those that are no text."""

from collections.abc import Sequence
from typing import Literal

from rft_jax.records.lines import has_lone_surrogate
from rft_jax.records.path import Path

Unfit = Literal["run_on", "not_text"]

# How the templates begin a question: few-shot prompts, and the reference's instruction.
_BEGINNINGS = ("\n\nQuestion:", "### Instruction:")
_MARKS = ("####", "\\boxed{")


def unfit(path: Path, gold: str, stops: Sequence[str] = ()) -> Unfit | None:
    """Returns why a path is unfit for training, None if it is fit.

    `run_on`: it was cut at the limit of its length and had begun another question, so that a model trained on it would
    not end where it should. A path cut right behind its answer is fit, and so is one whose file does not tell how it
    ended.
    `not_text`: it holds a lone surrogate (half of a character), which no tokenizer takes.

    Args:
        path: to look at.
        gold: the gold response, which shows how a final answer is marked in these data.
        stops: texts that end a response by the task's template.
    """
    if has_lone_surrogate(path.response):
        return "not_text"
    return "run_on" if path.finish == "length" and has_run_on(path.response, gold, stops) else None


def has_run_on(response: str, gold: str, stops: Sequence[str] = ()) -> bool:
    r"""Tells whether a response that was cut goes on behind its final answer, or begins a next question.

    The final answer is the line of the first `####`, or, where the gold response has none but a `\boxed{`, that of the
    last `\boxed{…}`; where the response lacks the mark of the gold one, the other mark counts.
    """
    if any(beginning in response for beginning in (*_BEGINNINGS, *stops)):
        return True
    marks = _MARKS if _MARKS[0] in gold or _MARKS[1] not in gold else _MARKS[::-1]
    mark = next((mark for mark in marks if mark in response), None)
    if mark is None:
        return False
    place = response.find(mark) if mark == _MARKS[0] else _end_of_box(response, response.rfind(mark))
    line_end = response.find("\n", place)
    return line_end != -1 and bool(response[line_end:].strip())


def _end_of_box(text: str, start: int) -> int:
    """Returns the place of the bracket that closes `\\boxed{`; of a box that is cut the end of the text."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if text[place] == "}" and depth == 0:
            return place
    return len(text)
