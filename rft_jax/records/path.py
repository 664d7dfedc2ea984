"""Paths: the responses that a model gave to problems."""

import os
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec

from rft_jax.records.lines import (
    LineError,
    at_line,
    dump,
    parse_object,
    read_objects,
    shown,
    text_field,
    whole_number_field,
    write_lines,
)

Finish = Literal["eos", "stop", "length"]
FINISHES = get_args(Finish)
_WholeNumber = Annotated[int, msgspec.Meta(ge=0)]


class Path(NamedTuple):  # there are millions, and a frozen dataclass takes three times as long to make
    """One response that a model sampled.

    Attributes:
        problem: the number of the problem, from 0.
        sample: the number among the model's samples of this problem, from 0.
        model: the model's name.
        response: the text, without prompt and end token.
        tokens: the response's length in tokens, end token included; None where a foreign file does not tell.
        finish: `eos` when the model ended the response, `stop` when a stop text did, `length` when it was cut; None as
            above.
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
            raise LineError(f'"finish" is {shown(finish)}, not one of {", ".join(FINISHES)}')
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


class _Line(msgspec.Struct, gc=False):
    """A line of a path file that is as it should be."""

    problem: _WholeNumber
    sample: _WholeNumber
    model: str
    response: str
    tokens: _WholeNumber | None = None
    finish: Finish | None = None


_DECODER = msgspec.json.Decoder(_Line)


def parse_path(line: bytes, problems: int | None) -> Path:
    """Returns the path of a line; `problems` is how many there are, None if unknown.

    Raises:
        LineError: the line is no JSON object, or see `Path.from_fields`.
    """
    try:
        found = _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    if found is None or (problems is not None and found.problem >= problems):
        # Wrong, or odd as only Python reads it (half a character): slowly, and told well.
        return Path.from_fields(parse_object(line), problems)
    return Path(found.problem, found.sample, found.model, found.response, found.tokens, found.finish)


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
