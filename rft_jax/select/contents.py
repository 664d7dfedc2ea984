"""What path files hold, as far as that is known without reading them, so that a part reads few of the others'.

Files that `sample` wrote, and nobody changed, say it: their name the problems, the manifest beside them the model.
Select believes that only to leave a file to other parts. One of the parts reads it, and refuses a line that belies the
name; the merge compares the models. Of all other files each part reads every line.
"""

import dataclasses
import functools
import os
import pathlib

from rft_jax import files
from rft_jax.records import checksum, manifest
from rft_jax.records.shard import Shard
from rft_jax.select.inputs import Inputs


@dataclasses.dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    Attributes:
        problems: its problems are among these.
        model: the model of its paths.
    """

    problems: range
    model: str


def known_contents(inputs: Inputs) -> list[Contents | None]:
    """Returns what each file holds, None where that is not known."""
    folder_of = functools.cache(_folder)  # thousands of shards share one
    found: list[Contents | None] = []
    for path in inputs.files:
        folder, name = os.path.split(path)
        shard = Shard.from_name(name)
        told = None
        if shard is not None and path not in inputs.links:
            model, there = folder_of(folder)
            if model is not None and name + checksum.SUFFIX in there:
                told = Contents(range(*shard.problems), model)
        found.append(told)
    return found


def _folder(folder: str) -> tuple[str | None, frozenset[str]]:
    """Returns the model of a folder's manifest, if that is one of ours, and the names of the files."""
    fields = manifest.beside(pathlib.Path(folder, manifest.NAME)) or {}
    model = fields.get("name")
    try:
        return (model, frozenset(files.names(folder or "."))) if isinstance(model, str) else (None, frozenset())
    except OSError:
        return None, frozenset()
