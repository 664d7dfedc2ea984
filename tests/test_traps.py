"""The table of the reference's traps: ten of them, each with tests that exist."""

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "configs" / "paper" / "TRAPS.md"


@functools.cache
def names_in(file):
    names = {node.name for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body if hasattr(node, "name")}
    return {name for name in names if name.startswith("test_")}


def test_every_trap_has_tests_and_every_test_exists():
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 11))
    for number, row in rows:
        *told, seen_by = row.split(" | ")
        assert len(told) == 3, f"trap {number}"
        assert re.fullmatch(r"(tests/[\w/]+\.py::test_\w+(, )?)+", seen_by.strip()), f"trap {number}"
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", page)
    assert len(named) > 20
    assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []
