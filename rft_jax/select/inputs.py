"""The path files to select from."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from rft_jax import names
from rft_jax.errors import UserError
from rft_jax.files import PARTIAL
from rft_jax.records.lines import is_compressed


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """The path files, in order.

    Attributes:
        files: all of them, each once.
        listed: for each file, the place in the list of patterns where it came up first.
        size: bytes, estimated for compressed files.
    """

    files: list[str]
    listed: list[int]
    size: int


def find_inputs(patterns: Sequence[str]) -> Inputs:
    """Returns the files that the patterns match; those of one pattern in natural order (`2.jsonl` before `10.jsonl`).

    Raises:
        UserError: a pattern matches no file.
    """
    listed: dict[str, int] = {}
    known: set[str] = set()
    for place, pattern in enumerate(patterns):
        found = names.matches(pattern)
        # What a killed writer left behind is not a file of paths.
        files = [match for match in found if not pathlib.Path(match).is_dir() and not match.endswith(PARTIAL)]
        if not files:
            hint = "; it is a folder, so add /*.jsonl" if pathlib.Path(pattern).is_dir() else ""
            parted = f"; {names.QUOTING}" if len(patterns) > 1 and not found else ""
            raise UserError(f"no file matches --paths={pattern}{hint}{parted}")
        for file in sorted(files, key=_natural):
            if os.path.realpath(file) not in known:  # the same file by another name would be read for nothing
                known.add(os.path.realpath(file))
                listed[file] = place
    try:
        sizes = [pathlib.Path(file).stat().st_size * (5 if is_compressed(file) else 1) for file in listed]
    except OSError as error:  # a link that leads nowhere, for one
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
    return Inputs(list(listed), list(listed.values()), sum(sizes))


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]
