"""What the tests of selection in parts share: data of several models, and the selection as a whole and in parts."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path as File
from typing import Any

from rft_jax.records import checksum, manifest
from rft_jax.records.lines import dump
from rft_jax.records.path import Path, write_paths
from rft_jax.records.problem import read_problems
from rft_jax.records.shard import Shard
from rft_jax.select import parts, selection
from rft_jax.select.job import Job, prepare
from rft_jax.select.part import Part
from tests.select import small_golden

SETTINGS: dict[str, Any] = {"rules": "paper", "ks": [1, 3]}


def write_data(folder: File) -> list[Path]:
    """Writes problems.jsonl, and paths of three models in any order to a.jsonl, b.jsonl.gz and c.jsonl."""
    problems, rows = small_golden.read()
    (folder / "problems.jsonl").write_bytes(b"".join(map(dump, problems)))
    paths = [Path(**row | {"model": "xyz"[row["sample"] % 3], "sample": row["sample"] // 3}) for row in rows]
    random.Random(0).shuffle(paths)
    for name, some in {"a.jsonl": paths[:200], "b.jsonl.gz": paths[200:300], "c.jsonl": paths[290:]}.items():
        write_paths(folder / name, some)
    return paths


def write_shards(folder: File, paths: Iterable[Path], problems: File, model: str) -> list[File]:
    """Writes the paths of a model as `sample` does, four problems a file, and returns the files."""
    folder.mkdir()
    told = {"name": model, "problems": manifest.of_problems(read_problems(problems))}
    (folder / "manifest.json").write_text(json.dumps(told))
    mine = [path for path in paths if path.model == model]
    shards = []
    for first in range(0, 12, 4):
        file = folder / Shard((first, first + 4), (0, 50)).name
        write_paths(file, [path for path in mine if first <= path.problem < first + 4])
        write_checksum(file)
        shards.append(file)
    return shards


def write_checksum(file: File) -> None:
    checksum.beside(file).write_text(checksum.line(file.read_bytes(), file.name))


def job(folder: File, *names: str, output: str = "out.jsonl", **settings: Any) -> Job:
    """Returns the selection from some files in a folder, all of `write_data`'s by default."""
    patterns = [f"{folder}/{name}" for name in names or ("a.jsonl", "b.jsonl.gz", "c.jsonl")]
    (folder / "out").mkdir(exist_ok=True)
    return prepare(str(folder / "problems.jsonl"), patterns, str(folder / "out" / output), **SETTINGS | settings)


def whole(job: Job) -> dict[str, bytes]:
    """Selects as one process does; returns what was written, and removes it."""
    selection.do(job, 1)
    return taken(job)


def in_parts(job: Job, count: int, order: Sequence[int] | None = None, **settings: Any) -> dict[str, bytes]:
    """Selects in parts and merges; returns what was written, and removes it."""
    for index in order or range(count):
        parts.write(job, Part(index, count), 1, **settings)
    parts.merge(job)
    written = taken(job)
    for index in range(count):
        assert {f"{job.target.name}.part-{index}-of-{count}/{name}" for name in ("part.json", "rows")} <= set(written)
    return {name: content for name, content in written.items() if ".part-" not in name}


def taken(job: Job) -> dict[str, bytes]:
    """Returns the contents of the output's folder, by names in it, and empties it."""
    folder = job.target.parent
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    written = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    for file in files:
        file.unlink()
    for place in folder.iterdir():
        place.rmdir()
    return written
