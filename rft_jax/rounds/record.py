"""round.json: the rounds so far, each with its figures and its verdict, and what the next one is compared with."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from rft_jax import provenance
from rft_jax.errors import UserError
from rft_jax.files import whole_file
from rft_jax.rounds.figures import NAMES, Figures
from rft_jax.rounds.outcomes import Outcomes

FILE = "round.json"
SETTINGS = ("temperature", "top_k", "top_p", "min_p")  # of the samples: with others, figures differ for that reason


@dataclasses.dataclass(frozen=True)
class Round:
    """A round that was checked.

    Attributes:
        number: from 1.
        model: that sampled.
        figures: with their intervals.
        since_first, since_previous: how they have changed since then; None in the first round.
        collapse: reasons to say that its paths have collapsed, in words.
        stop: why rounds should end here, in words; None: go on.
        entropy_note: why there is no entropy; "" where there is one.
    """

    number: int
    model: str
    figures: Figures
    since_first: Figures | None
    since_previous: Figures | None
    collapse: tuple[str, ...]
    stop: str | None
    entropy_note: str


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is the same in all rounds.

    Attributes:
        problems: how many there are.
        fingerprint: of their questions, as in manifest.json.
        k: samples of each.
        grader: that decides.
        settings: of the samples, SETTINGS; None: not known.
    """

    problems: int
    fingerprint: str
    k: int
    grader: str
    settings: dict[str, float | None] | None


@dataclasses.dataclass(frozen=True)
class Record:
    """The contents of round.json.

    Attributes:
        asked: what is the same in all rounds.
        rounds: in order; the last is that of the file.
        first, last: outcomes of the first round and of the last.
    """

    asked: Asked
    rounds: tuple[Round, ...]
    first: Outcomes
    last: Outcomes

    @property
    def stop(self) -> str | None:
        """Why rounds should end with the last one, or None."""
        return self.rounds[-1].stop

    def write(self, file: str | os.PathLike[str]) -> None:
        """Writes it, whole or not at all."""
        fields: dict[str, Any] = dataclasses.asdict(self) | {provenance.FIELD: provenance.software()}
        with whole_file(file) as target:
            target.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def read(file: str | os.PathLike[str]) -> Record:
    """Returns the contents of a round.json.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    name = os.fspath(file)
    try:
        found = msgspec.json.decode(Path(name).read_bytes(), type=Record)
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UserError(f"{name} is no {FILE} that this version can read ({error}): check that round again") from None
    faults = (each.fault(found.asked.problems, found.asked.k) for each in (found.first, found.last))
    told = next((fault for fault in faults if fault), None)
    numbers = [each.number for each in found.rounds]
    if not told and (not numbers or numbers != list(range(1, len(numbers) + 1))):
        told = "its rounds are not numbered from 1"
    if not told and any(set(each.figures) != set(NAMES) for each in found.rounds):
        told = "a round lacks a figure"
    if told:
        raise UserError(f"{name} is no {FILE} that this version can read ({told}): check that round again")
    return found
