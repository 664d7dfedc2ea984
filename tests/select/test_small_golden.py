"""The selector beside the reference's plain procedure, on small inputs that are in every checkout."""

import json
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from rft_jax.benchmark.select import reference_selection
from rft_jax.select.selection import select
from tests.select import small_golden


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    """Returns a file of problems and one of paths."""
    files = tmp_path / "problems.jsonl", tmp_path / "paths.jsonl"
    for file, rows in zip(files, small_golden.read(), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


def test_the_file_is_what_the_script_makes() -> None:
    problems, paths = small_golden.read()
    assert [*problems, *paths] == list(small_golden.rows())
    assert (len(problems), len(paths)) == (12, 360)


def test_the_rules_of_the_reference_write_what_its_procedure_writes(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    problems, paths = inputs
    theirs, ours = tmp_path / "theirs.jsonl", tmp_path / "ours.jsonl"
    reference_selection(problems, [paths], theirs, Levenshtein.distance)
    result = select(str(problems), [str(paths)], str(ours), rules="reference", ks=[], workers=1)
    assert ours.read_bytes() == theirs.read_bytes()
    united = result["united"]
    # Of each kind there is something, so that the comparison says something.
    assert united["samples"] > united["parsed"] > united["correct"] > united["equations_hold"] > united["distinct"] > 50


def test_the_rules_of_the_paper_select_the_same_paths(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    problems, paths = inputs
    theirs, ours = tmp_path / "theirs.jsonl", tmp_path / "ours.jsonl"
    reference_selection(problems, [paths], theirs, Levenshtein.distance)
    select(str(problems), [str(paths)], str(ours), rules="paper", ks=[], workers=1)
    sets = [
        sorted((row["query"], row["response"]) for row in map(json.loads, file.read_text().splitlines()))
        for file in (theirs, ours)
    ]
    assert sets[0] == sets[1]
