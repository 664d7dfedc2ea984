"""run.json of a training run: its settings, and what computed it, from which step on."""

import json
from pathlib import Path
from typing import Any

from rft_jax import provenance
from rft_jax.errors import UserError
from rft_jax.files import whole_file
from rft_jax.provenance import FIELD

NAME = "run.json"


def record(workdir: Path, settings: dict[str, Any], made_by: dict[str, Any], first: int) -> None:
    """Writes that the run goes on from a step with these settings, computed by this software on these devices.

    A killed run that goes on in the same environment leaves the same file as one that was not killed.

    Args:
        workdir: of the run.
        settings: its config, as JSON values.
        made_by: what `runtime.describe` returns.
        first: steps done before this start.

    Raises:
        UserError: the file cannot be written.
    """
    parts = [part for part in _read(workdir / NAME) if part["first_step"] < first]
    if not parts or _lasting(parts[-1][FIELD]) != _lasting(made_by):
        parts.append({"first_step": first, FIELD: made_by})
    with whole_file(workdir / NAME) as file:
        file.write_text(json.dumps({"settings": settings, "parts": parts}, indent=1) + "\n", encoding="utf-8")


def refuse_moved(workdir: Path, checkpoints: str | None) -> None:
    """Makes sure that a run goes on from where its checkpoints are, and does not begin anew beside them.

    Args:
        workdir: of the run.
        checkpoints: the folder in a bucket; None: the workdir's own.

    Raises:
        UserError: the run in the workdir has its checkpoints elsewhere.
    """
    try:
        before = json.loads((workdir / NAME).read_text(encoding="utf-8"))["settings"].get("checkpoints")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return  # none yet, or another program's
    if before != checkpoints:
        do = f"give --config.checkpoints={before}" if before else "leave out --config.checkpoints"
        raise UserError(
            f"the run in {workdir} has its checkpoints in {before or 'the workdir'}, not in "
            f"{checkpoints or 'the workdir'}: {do}, or another --workdir"
        )


def _lasting(made_by: dict[str, Any]) -> dict[str, Any]:
    """Returns what tells whether two starts compute the same; git may not answer in time, the code's hash is there."""
    return {name: value for name, value in made_by.items() if name not in provenance.OF_GIT}


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        parts = json.loads(file.read_text(encoding="utf-8"))["parts"]
        return [{"first_step": int(part["first_step"]), FIELD: dict(part[FIELD])} for part in parts]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []  # none yet, or another program's
