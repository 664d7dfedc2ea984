"""JSON objects on disk, and values out of them; a wrong value is one line that names the field."""

import json
import math
from pathlib import Path
from typing import Any, TypeVar

from rft_jax.errors import UserError

N = TypeVar("N", int, float)


def read_json(path: Path) -> dict[str, Any]:
    """Returns a JSON file's object.

    Raises:
        UserError: the file cannot be read, or does not hold one JSON object.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}; download or copy it again") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path} does not hold a JSON object")
    return fields


def write_json(path: Path, fields: dict[str, Any]) -> None:
    """Writes a JSON object for people and programs to read."""
    path.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def number(fields: dict[str, Any], name: str, kind: type[N], missing: N | None = None) -> N:
    """Returns a field's number, which is positive and finite.

    Args:
        fields: a JSON object.
        name: of the field.
        kind: int or float; a whole number does for a float.
        missing: what an absent field means; without it the field is required.

    Raises:
        UserError: the field is absent, null or anything else than such a number.
    """
    value: Any = fields.get(name, missing)
    if type(value) not in ((int,) if kind is int else (int, float)):
        raise UserError(f"{name} is {shown(value)}; {'a whole' if kind is int else 'a'} number is needed there")
    if not (0 < value <= _LARGEST and math.isfinite(value)):
        raise UserError(f"{name} is {shown(value)}; a positive number up to {_LARGEST:,} is needed there")
    return kind(value)


def switch(fields: dict[str, Any], name: str) -> bool:
    """Returns a field's truth value; absent and null are false.

    Raises:
        UserError: the field is anything else.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise UserError(f"{name} is {shown(value)}; true or false is needed there")
    return bool(value)


def shown(value: object) -> str:
    """Returns a JSON value for a message, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_LARGEST = 10**12  # rope_theta is the largest number in a config.json, up to some 10^9
