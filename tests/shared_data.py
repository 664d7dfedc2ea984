"""The data that lie beside the repository, in ../shared; a checkout without them skips the tests that need them."""

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2] / "shared"


def shared(name: str) -> Path:
    """Returns the path of a file or folder in ../shared; skips the test when it is not there."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs ../shared/{name}, which is not there")
    return path


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Returns the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
