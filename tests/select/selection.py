"""What the tests of the selector share: generated paths, and one call to select them."""

import dataclasses
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path as File
from typing import Any

from hypothesis import strategies as st

from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import Problem, write_problems
from rft_jax.select.selection import select

PROBLEMS = [Problem(f"Question {number}?", f"It is 2*21=<<2*21=42>>42.\n#### {42 + number}") for number in range(4)]
MODELS = ("a", "b", "c")

_EQUATIONS = ["<<1+1=2>>", "<<2*3=6>>", "<< 2 * 3 =6>>", "<<3*2=6>>", "<<2*21=42>>", "<<1+1=3>>", "<<x=3>>", ""]
_WORDS = ["so", "the apples", "he buys", "é", "\n", "in total there are", "\ud800", "5"]


@st.composite
def responses(draw: st.DrawFn, problem: int) -> str:
    parts = draw(st.lists(st.sampled_from(_EQUATIONS + _WORDS), max_size=6))
    ending = draw(st.sampled_from([f"\n#### {42 + problem}", f"\n#### {42 + problem}.0", "\n#### 1", ""]))
    return " ".join(parts) + ending


@st.composite
def path_lists(draw: st.DrawFn) -> list[Path]:
    """Paths of some problems by some models, each (model, problem, sample) once, in any order."""
    keys = draw(
        st.lists(
            st.tuples(st.integers(0, len(PROBLEMS) - 1), st.integers(0, 8), st.sampled_from(MODELS)),
            unique=True,
            min_size=1,
            max_size=40,
        )
    )
    return [Path(problem, sample, model, draw(responses(problem))) for problem, sample, model in keys]


def ks_of(paths: Sequence[Path], *ks: int) -> list[int]:
    """Returns those of the k for which these paths have a set: at most as many as they have samples."""
    return [k for k in ks if k <= 1 + max(path.sample for path in paths)]


@dataclasses.dataclass
class Selected:
    """What a call of `select` wrote: the bytes of each file, and the statistics."""

    files: dict[str, bytes]
    statistics: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files["out.jsonl"].splitlines()]

    @property
    def paths(self) -> list[Path]:
        return [
            Path(row["problem"], row["sample"], row["model"], row["response"]) for row in self.rows if "model" in row
        ]


def selected(
    groups: Sequence[Sequence[Sequence[Path]]],
    suffix: str = "",
    problems: Sequence[Problem] = PROBLEMS,
    **settings: Any,
) -> Selected:
    """Writes each group of files (a glob), selects, and returns what came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = File(name)
        write_problems(folder / "problems.jsonl", problems)
        globs = []
        for place, files in enumerate(groups):
            (folder / str(place)).mkdir()
            globs.append(f"{folder}/{place}/*.jsonl{suffix}")
            for number, paths in enumerate(files):
                write_paths(folder / str(place) / f"{number}.jsonl{suffix}", paths)
        (folder / "out").mkdir()
        defaults = {"rules": "paper", "ks": [], "workers": 1}
        select(str(folder / "problems.jsonl"), globs, str(folder / "out" / "out.jsonl"), **defaults | settings)
        files_out = {file.name: file.read_bytes() for file in (folder / "out").iterdir()}
        return Selected(files_out, json.loads(files_out["out.jsonl.stats.json"]))


def shuffled(paths: Sequence[Path], seed: int, files: int) -> list[list[Path]]:
    """Returns the paths in another order, split over files."""
    order = random.Random(seed)
    mixed = order.sample(list(paths), len(paths))
    parts: list[list[Path]] = [[] for _ in range(files)]
    for path in mixed:
        order.choice(parts).append(path)
    return parts
