"""Selection in parts on many machines, reckoned from rates measured on one processor.

The paths are generated as for `select`, five models' union, in shards as `sample` writes them and, for comparison, in one
file per model, of which every part reads all. Processor time, which is about the same on a busy machine.
"""

import json
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

from rft_jax.benchmark.select import FIVE_MODELS, generate
from rft_jax.records import checksum, manifest
from rft_jax.records.lines import write_lines
from rft_jax.records.problem import read_problems
from rft_jax.records.shard import Shard
from rft_jax.select import parts, passes, selection
from rft_jax.select.contents import known_contents
from rft_jax.select.inputs import find_inputs
from rft_jax.select.job import Job, prepare
from rft_jax.select.part import Part
from rft_jax.select.scratch import scratch

_PROBLEMS, _SHARDS, _MERGED = 320, 20_000, 4
_TILE = 8, 50  # problems and samples per shard
_PATHS, _NODES, _CORES, _QUESTIONS = 10**9, 32, 64, 10**6
_DISK = 1e9  # bytes per second that a node reads from a shared file system: assumed


def run(folder: pathlib.Path | None = None) -> list[str]:
    """Measures, and returns the lines of the report.

    Args:
        folder: parent of the folder for generated files; None: the system's folder for temporary files.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = pathlib.Path(name)
        problems, files = generate(FIVE_MODELS, _PROBLEMS, work / "joined")
        for file in files:
            _write_shards(file, problems, work / "shards" / file.stem)
        (work / "out").mkdir()
        joined, shards = (
            _job(problems, pattern, work) for pattern in (f"{work}/joined/model-*.jsonl", f"{work}/shards/*/*.jsonl")
        )
        paths = _PROBLEMS * FIVE_MODELS.models * FIVE_MODELS.samples
        size = sum(file.stat().st_size for file in files)
        whole = _seconds(lambda: selection.do(joined, 1))
        one = Part(1, _NODES)
        own, all_lines = (_seconds(lambda job=job: _pass_over(job, one)) for job in (shards, joined))
        skipped = (all_lines - own) / (paths * (1 - 1 / _NODES))
        for index in range(_MERGED):
            parts.write(shards, Part(index, _MERGED), 1)
        merge = _seconds(lambda: parts.merge(shards))
        rows = shards.target.stat().st_size
        per_file = _listing(work / "listing", problems)
        asked = _seconds(lambda: _job(problems, f"{work}/joined/model-0.jsonl", work)) / _PROBLEMS
    graded = whole / paths
    per_node, cores = _PATHS / _NODES, _NODES * _CORES
    listed = per_file * _PATHS / (_TILE[0] * _TILE[1])
    bytes_read = size / paths * _PATHS
    return [
        f"measured, one processor: grading, choosing and counting {1e6 * graded:.1f} µs per path "
        f"({1 / graded:,.0f} paths/s), passing over another part's line {1e6 * skipped:.2f} µs, listing a file of sample "
        f"{1e6 * per_file:.1f} µs, a problem {1e6 * asked:.0f} µs, merging {rows / merge / 1e6:,.0f} MB/s; "
        f"{size / paths:.0f} bytes per path, {rows / paths:.1f} bytes of rows",
        f"reckoned, {_PATHS:,} paths of {_QUESTIONS:,} problems on {_NODES} nodes of {_CORES} cores: grading and choosing "
        f"{graded * _PATHS / cores:.0f} s; listing {listed:.0f} s and problems {asked * _QUESTIONS:.0f} s on one core of "
        f"each; reading {bytes_read / _NODES / 1e9:.0f} GB of sample's files per node {bytes_read / _NODES / _DISK:.0f} s "
        f"at {_DISK / 1e9:.0f} GB/s, or all {bytes_read / 1e9:.0f} GB of other files {bytes_read / _DISK:.0f} s and "
        f"{skipped * _PATHS / _CORES:.0f} s to pass over {_PATHS - per_node:,.0f} lines; then the merge of "
        f"{rows / paths * _PATHS / 1e9:.0f} GB of rows {rows / paths * _PATHS * merge / rows:.0f} s",
    ]


def _write_shards(file: pathlib.Path, problems: pathlib.Path, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True)
    _write_manifest(folder, problems, file.stem)
    lines = file.read_bytes().splitlines(keepends=True)
    samples = FIVE_MODELS.samples
    for first in range(0, _PROBLEMS, _TILE[0]):
        for low in range(0, samples, _TILE[1]):
            shard = folder / Shard((first, first + _TILE[0]), (low, low + _TILE[1])).name
            of_problems = range(first * samples, (first + _TILE[0]) * samples, samples)
            write_lines(shard, (line for start in of_problems for line in lines[start + low : start + low + _TILE[1]]))
            checksum.beside(shard).write_text(checksum.line(shard.read_bytes(), shard.name))


def _write_manifest(folder: pathlib.Path, problems: pathlib.Path, model: str) -> None:
    told = {"name": model, manifest.FIELD: manifest.of_problems(read_problems(problems))}
    (folder / manifest.NAME).write_text(json.dumps(told))


def _job(problems: pathlib.Path, pattern: str, work: pathlib.Path) -> Job:
    return prepare(str(problems), [pattern], str(work / "out" / "out.jsonl"), rules="paper", ks=[])


def _pass_over(job: Job, part: Part) -> None:
    with scratch(job.target) as folder, (folder / "rows").open("wb") as stream:
        passes.run(job, part, [stream], folder, 1)


def _listing(folder: pathlib.Path, problems: pathlib.Path) -> float:
    """Returns the seconds per file that it takes a part to learn which files it has to read."""
    folder.mkdir()
    _write_manifest(folder, problems, "model")
    for number in range(_SHARDS):
        shard = folder / Shard((8 * number, 8 * number + 8), (0, 50)).name
        shard.touch()
        checksum.beside(shard).touch()
    questions = read_problems(problems)

    def look() -> None:
        inputs = find_inputs([f"{folder}/*.jsonl"])
        manifest.check(inputs.files, questions, str(problems))
        known_contents(inputs)

    return _seconds(look) / _SHARDS


def _seconds(work: Callable[[], Any]) -> float:
    """Returns the least processor time of three rounds."""
    rounds = []
    for _ in range(3):
        begin = time.process_time()
        work()
        rounds.append(time.process_time() - begin)
    return min(rounds)
