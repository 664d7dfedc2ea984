"""Paths: the responses that a model gave to problems."""

import math
import os
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np

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


class Logprobs(NamedTuple):
    """How likely each token of a response was, before top-k, top-p and min-p: natural logarithms, up to 0.

    Attributes:
        sampled: for each token, at the temperature that it was sampled at; at temperature 0 all are 0.
        at_1: for each token, at temperature 1.
    """

    sampled: tuple[float, ...]
    at_1: tuple[float, ...]

    @classmethod
    def from_array(cls, values: np.ndarray) -> "Logprobs":
        """Takes fp32 [tokens, 2], rounded to the fewest digits that tell one fp32 from the others."""
        return cls(*(tuple(map(_shortest, column)) for column in values.T))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "Logprobs | None":
        """Reads the fields of a path's line, None if it has none.

        Raises:
            LineError: they are no lists of numbers, or not of one length.
        """
        names = ("token_logprobs", "token_logprobs_at_1")
        if all(fields.get(name) is None for name in names):
            return None
        for name in names:
            value = fields.get(name)
            if not isinstance(value, list) or not all(type(number) in (int, float) for number in value):
                raise LineError(f'"{name}" is {shown(value)}, not a list of numbers')
        sampled, at_1 = (tuple(map(float, fields[name])) for name in names)
        if len(sampled) != len(at_1):
            raise LineError(f"{' and '.join(names)} have {len(sampled)} and {len(at_1)} numbers")
        return cls(sampled, at_1)

    def to_fields(self) -> dict[str, Any]:
        """Returns the fields of the line: for each temperature the sum over the tokens, and each token's."""
        return {
            "logprob": _shortest(np.float32(math.fsum(self.sampled))),
            "logprob_at_1": _shortest(np.float32(math.fsum(self.at_1))),
            "token_logprobs": self.sampled,
            "token_logprobs_at_1": self.at_1,
        }


def _shortest(value: np.float32) -> float:
    return float(str(value))


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
        logprobs: how likely each of the tokens was; None where that was not asked for.
    """

    problem: int
    sample: int
    model: str
    response: str
    tokens: int | None = None
    finish: str | None = None
    logprobs: Logprobs | None = None

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
            Logprobs.from_fields(fields),
        )

    def to_fields(self) -> dict[str, Any]:
        """Returns the fields of the line, without those that are None."""
        fields = self._asdict()
        logprobs = fields.pop("logprobs")
        more = {} if logprobs is None else logprobs.to_fields()
        return {name: value for name, value in (fields | more).items() if value is not None}


class _Line(msgspec.Struct, gc=False):
    """A line of a path file that is as it should be."""

    problem: _WholeNumber
    sample: _WholeNumber
    model: str
    response: str
    tokens: _WholeNumber | None = None
    finish: Finish | None = None


class Glimpse(msgspec.Struct, gc=False):
    """What is to be known of a path that another process reads."""

    problem: _WholeNumber
    model: str


_DECODER = msgspec.json.Decoder(_Line)
_GLIMPSER = msgspec.json.Decoder(Glimpse)


def parse_path(line: bytes, problems: int | None) -> Path:
    """Returns the path of a line, without log-probabilities; `problems` is how many there are, None if unknown.

    Raises:
        LineError: the line is no JSON object, or see `Path.from_fields`.
    """
    try:
        found = _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    if found is None or (problems is not None and found.problem >= problems):
        # Wrong, or odd as only Python reads it (half a character): slowly, and told well.
        return Path.from_fields(parse_object(line), problems)._replace(logprobs=None)
    return Path(found.problem, found.sample, found.model, found.response, found.tokens, found.finish)


def glimpse_path(line: bytes) -> Glimpse | None:
    """Returns problem and model of a line that is JSON, the same as `parse_path`; None where that alone can tell."""
    try:
        return _GLIMPSER.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


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
