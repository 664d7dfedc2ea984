"""Selection in parts on many machines, reckoned from rates measured on one processor.

The paths are generated as for `select`, five models' union, in shards as `sample` writes them and, for comparison, in
one file per model, of which every part reads all. Processor time, which is about the same on a busy machine.
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
from rft_jax.select.judge import write_gold
from rft_jax.select.part import Part
from rft_jax.select.scratch import scratch
from rft_jax.select.spill import SpillTask, cut_into_pieces, spill_piece

_PROBLEMS, _SHARDS = 320, 20_000
_COPIED = 512 << 20  # bytes
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
        graded = _seconds(lambda: _grade(joined), rounds=1)
        whole = _seconds(lambda: selection.do(joined, 1), rounds=1)  # while no cache is warm
        one = Part(1, _NODES)
        own = _seconds(lambda: _pass_over(shards, one))
        all_lines = _seconds(lambda: _pass_over(joined, one))
        skipped = (all_lines - own) / (paths * (1 - 1 / _NODES))
        rows = joined.target.stat().st_size
        copied = _copying(work / "rows") * rows / paths
        per_file = _listing(work / "listing", problems)
        asked = _seconds(lambda: _job(problems, f"{work}/joined/model-0.jsonl", work)) / _PROBLEMS
    grade, both, share = graded / paths, whole / paths, _PATHS / paths
    listed = per_file * _PATHS / (_TILE[0] * _TILE[1])
    return [
        f"measured, one processor, per path: to grade {1e6 * grade:.1f} µs ({1 / grade:,.0f} per s), to choose and "
        f"count {1e6 * (both - grade):.1f} µs, to pass over another part's {1e6 * skipped:.2f} µs, to merge "
        f"{1e6 * copied:.3f} µs; {size / paths:.0f} bytes, {rows / paths:.1f} of rows",
        f"  per file of sample to list {1e6 * per_file:.0f} µs, per problem to read {1e6 * asked:.0f} µs",
        f"reckoned: {_PATHS:,} paths of {_QUESTIONS:,} problems, {_NODES} nodes of {_CORES} cores, each reading "
        f"{_DISK / 1e9:.0f} GB/s",
        f"  on one core of each node: problems {asked * _QUESTIONS:.0f} s, listing files of sample {listed:.0f} s",
        f"  files of sample: {size * share / _NODES / 1e9:.0f} GB per node, read twice in "
        f"{2 * size * share / _NODES / _DISK:.0f} s (the checksum, then the lines)",
        f"  other files: {size * share / 1e9:.0f} GB per node, read in {size * share / _DISK:.0f} s, and "
        f"{skipped * _PATHS / _CORES:.0f} s to pass over the others' lines",
        f"  grade, choose and count: {both * _PATHS / _NODES / _CORES:.0f} s",
        f"  merge: {rows * share / 1e9:.0f} GB of rows in {copied * _PATHS:.0f} s, after listing again",
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


def _grade(job: Job) -> None:
    count = len(job.questions)
    with scratch(job.target) as folder:
        write_gold(folder, 0, [problem.response for problem in job.questions])
        for piece in cut_into_pieces(dict.fromkeys(job.inputs.files)):
            spill_piece(SpillTask(piece, job.criteria, count, count, folder))


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


def _copying(file: pathlib.Path) -> float:
    """Returns the seconds per byte that it takes a merge to copy and check rows."""
    with file.open("wb") as stream:
        stream.truncate(_COPIED)
    with file.with_name("copy").open("wb") as stream:
        return _seconds(lambda: parts.copy_checked(file, stream), rounds=1) / _COPIED


def _seconds(work: Callable[[], Any], rounds: int = 3) -> float:
    """Returns the least processor time of some rounds."""
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return min(seconds)
