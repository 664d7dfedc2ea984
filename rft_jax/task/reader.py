"""From a row of a file to a problem, by the names of its fields."""

from typing import Any

from rft_jax.records.lines import LineError, answer_field, names_of, text_field
from rft_jax.records.problem import Problem

# The selected sets, which are trained on, and the reference's own files: every task reads them.
_SELECTED = ("query", "response")


class Reader:
    """Reads `messages`, or the first of the columns that a row has: the question's and the gold response's."""

    def __init__(self, *columns: tuple[str, ...]) -> None:
        """Takes the names of fields: (question, response), or (question, solution, answer).

        Of three, the gold response is the solution, ending with `#### ` and the answer. `query` and `response` are
        always known.
        """
        self.columns = (*columns, _SELECTED) if _SELECTED not in columns else columns

    def __call__(self, fields: dict[str, Any]) -> Problem:
        """Returns the problem of a row.

        Raises:
            LineError: none of the columns is there, or a field is no text.
        """
        if "messages" in fields:
            return _of_messages(fields["messages"])
        for question, response, *answer in self.columns:
            if question in fields:
                selected = (question, response) == _SELECTED and "history" in fields
                history = _turns("history", fields["history"]) if selected else ()
                gold = answer_field(fields, response)
                return Problem(text_field(fields, question), _ending(gold, fields, *answer), history)
        wanted = " or ".join(" and ".join(f'"{name}"' for name in columns) for columns in self.columns)
        raise LineError(f'it needs the fields {wanted} or "messages"; the line has {names_of(fields)}')


def _ending(solution: str, fields: dict[str, Any], answer: str | None = None) -> str:
    if answer is None:
        return solution
    # What the answer's field says counts, whatever the solution ends with.
    before, mark, _ = solution.rpartition("####")
    return f"{(before if mark else solution).rstrip()}\n#### {answer_field(fields, answer)}".lstrip()


def _of_messages(messages: Any) -> Problem:
    turns = _turns("messages", messages)
    if len(turns) < 2 or turns[-1][0] != "assistant" or turns[-2][0] != "user":
        raise LineError('"messages" does not end with a turn of the user and one of the assistant')
    return Problem(turns[-2][1], turns[-1][1], turns[:-2], train_history=True)


def _turns(name: str, turns: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(turns, list):
        raise LineError(f'"{name}" is no list of turns')
    found = []
    for number, turn in enumerate(turns):
        role, content = (turn.get(key) if isinstance(turn, dict) else None for key in ("role", "content"))
        if not isinstance(role, str) or not isinstance(content, str):
            raise LineError(f'turn {number} of "{name}" has no "role" and "content", both texts')
        found.append((role, content))
    return tuple(found)
