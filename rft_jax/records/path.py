"""Paths: the responses that a model gave to problems."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from rft_jax.records.lines import (
    LineError,
    at_line,
    dump,
    read_objects,
    text_field,
    whole_number_field,
    write_lines,
)

FINISHES = ("eos", "length")


class Path(NamedTuple):  # there are millions, and a frozen dataclass takes three times as long to make
    """One response that a model sampled.

    Attributes:
        problem: the number of the problem, from 0.
        sample: the number among the model's samples of this problem, from 0.
        model: the model's name.
        response: the text, without prompt and end token.
        tokens: the response's length in tokens, end token included; None where a foreign file does not tell.
        finish: `eos` when the model ended the response, `length` when it was cut; None as above.
    """

    problem: int
    sample: int
    model: str
    response: str
    tokens: int | None = None
    finish: str | None = None

    @classmethod
    def from_fields(cls, fields: dict[str, Any], problems: int | None) -> "Path":
        """Reads the fields of a line; `problems` is how many there are, None if unknown.

        Raises:
            LineError: a field is missing or wrong, or the problem's number is out of range.
        """
        problem = whole_number_field(fields, "problem")
        if problems is not None and problem >= problems:
            raise LineError(
                f"there is no problem {problem}; the {problems} problems are numbered from 0 to {problems - 1}"
            )
        finish = fields.get("finish")
        if finish is not None and finish not in FINISHES:
            raise LineError(f'"finish" is {finish!r}, not one of {", ".join(FINISHES)}')
        return cls(
            problem,
            whole_number_field(fields, "sample"),
            text_field(fields, "model"),
            text_field(fields, "response"),
            None if fields.get("tokens") is None else whole_number_field(fields, "tokens"),
            finish,
        )

    def to_fields(self) -> dict[str, Any]:
        """Returns the fields of the line, without those that are None."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def read_paths(file: str | os.PathLike[str], problems: int | None = None) -> Iterator[Path]:
    """Yields the paths of a JSONL file; `problems` is how many there are, None if unknown.

    Raises:
        UserError: there is no such file, or a line is wrong.
    """
    for number, fields in read_objects(file):
        with at_line(file, number):
            yield Path.from_fields(fields, problems)


def write_paths(file: str | os.PathLike[str], paths: Iterable[Path]) -> None:
    """Writes paths as JSONL, whole or not at all; raises UserError where that is impossible."""
    write_lines(file, (dump(path.to_fields()) for path in paths))
