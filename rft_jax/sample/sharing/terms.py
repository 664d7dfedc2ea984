"""The manifest of a folder of paths: the settings that all its paths have in common, written by the first command."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.hf import fingerprint
from rft_jax.provenance import FIELD
from rft_jax.records.manifest import ALWAYS, BUDGET, NAME, POLICIES

TILE = "tile"  # problems and samples per tile; the first command's, whatever k a later one has
_MODEL = "model"  # its fingerprint
_TRIES, _WAIT_S = 4, 0.5  # to read a manifest, and how long to wait between


class Terms:
    """What the commands of a folder have agreed on.

    Attributes:
        tile: problems and samples per tile of a uniform run.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object],
        *,
        usual_tile: tuple[int, int],
        made_by: Callable[[], dict[str, Any]],
    ) -> None:
        """Writes the manifest, or compares with the one that is there.

        Args:
            folder: of the paths.
            settings: that all must have; JSON values.
            usual_tile: of a new folder.
            made_by: returns what to tell of the software and devices.

        Raises:
            UserError: the folder holds paths of other settings.
        """
        self._file = folder / NAME
        if not self._file.exists():
            told = {**settings, TILE: usual_tile, FIELD: made_by()}
            content = json.dumps(told, indent=2) + "\n"
            files.create_file(self._file, content.encode())  # or a command of other settings was faster
        before = self._read()
        size = before.get(TILE, usual_tile)
        if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
            raise UserError(f"{self._file}: {TILE} is {json.dumps(size)}, not problems and samples per tile")
        self.tile = (size[0], size[1])
        for name in (FIELD, TILE, BUDGET):
            before.pop(name, None)
        now = json.loads(json.dumps(settings))  # tuples become lists, as in the file
        different = [
            f"{name} was {json.dumps(before.get(name))}, now {json.dumps(now.get(name))}"
            for name in sorted({*before, *now})
            if not _agree(name, before.get(name), now.get(name))
        ]
        if different:
            raise UserError(
                f"{folder} holds paths of other settings: {'; '.join(different)}. "
                "Give the same settings, or another --workdir"
            )

    def budget(self) -> dict[str, Any] | None:
        """Returns what is recorded of budgets, None where every problem has the same number of samples.

        Raises:
            UserError: it is of another version.
        """
        told = self._read().get(BUDGET)
        if told is None:
            return None
        if not (isinstance(told, dict) and isinstance(told.get(POLICIES), list) and isinstance(told.get(ALWAYS), int)):
            raise UserError(f"{self._file}: {BUDGET} is {json.dumps(told)[:200]}, not as this version writes it")
        return told

    def record(self, budget: dict[str, Any]) -> None:
        """Records what `manifest.of_budget` returns.

        Raises:
            UserError: the disk is full or not writable.
        """
        fields = self._read()
        if fields.get(BUDGET) != budget:
            with files.whole_file(self._file) as temporary:
                temporary.write_text(json.dumps(fields | {BUDGET: budget}, indent=2) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, Any]:
        for _ in range(_TRIES):
            try:
                fields = json.loads(self._file.read_text(encoding="utf-8"))
                break
            except ValueError as error:
                wrong = error
                time.sleep(_WAIT_S)  # where there are no hard links, another command may be writing it now
        else:
            raise UserError(f"{self._file} is not JSON ({wrong}); move the folder away or give another --workdir")
        if not isinstance(fields, dict):
            raise UserError(f"{self._file} holds no JSON object; move the folder away or give another --workdir")
        return fields


def _agree(name: str, before: Any, now: Any) -> bool:
    if name == _MODEL and isinstance(before, str) and isinstance(now, str):
        return fingerprint.same(before, now)
    return bool(before == now)
