"""Selection in parts, each of a block of problems, by machines that share a file system; then a merge.

`OUTPUT.part-I-of-N` is a folder that appears whole: the rows of each set, and part.json with the counts, the settings
and the checksums of the rows, beside its own checksum. The merge takes parts of its own settings only, and leaves them:
done again after any end, it writes the same.
"""

import contextlib
import dataclasses
import glob
import hashlib
import json
import pathlib
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from typing import IO, Any

from tqdm import tqdm

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.one_writer import one_writer
from rft_jax.records import checksum
from rft_jax.select import job_identity, passes, selection, tally_json
from rft_jax.select.job import Job
from rft_jax.select.part import Part
from rft_jax.select.passes import Found
from rft_jax.select.scratch import scratch
from rft_jax.select.spill import PIECE_BYTES

_TOLD = "part.json"
_BUFFER = 1 << 20


def write(job: Job, part: Part, workers: int, piece_bytes: int = PIECE_BYTES) -> dict[str, Any]:
    """Writes a part; one that is there is replaced.

    Args:
        job: what to select, in all parts.
        part: which one.
        workers: processes.
        piece_bytes: how much of a file a process reads at a time.

    Returns:
        "folder" of the part, "paths" graded, and "unchecked_files" and "doubtful" as `selection.write`.

    Raises:
        UserError: something in the input is wrong, parts of another division are there, or the part cannot be written;
            nothing is written then.
    """
    place = _folder(job.target, part)
    if others := {each.count for each in _there(job.target)} - {part.count}:
        raise UserError(
            f"{job.target} has parts of {min(others)}: give --part=I/{min(others)}, or remove the folders "
            f"{job.target}.part-*-of-{min(others)} first"
        )
    with one_writer(place, place.with_name(f".{place.name}.writer")):
        for leftover in place.parent.glob(f".{glob.escape(place.name)}.*{files.PARTIAL}*"):  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        told = {"settings": job_identity.of(job)}  # before the paths are read: whatever changes later will differ
        with scratch(job.target) as spills, files.whole_folder(place) as folder:
            rows = _row_files(folder, job)
            with contextlib.ExitStack() as stack:
                streams = [stack.enter_context(file.open("wb")) for file in rows]
                found = passes.run(job, part, streams, spills, workers, piece_bytes)
            told |= {"found": _plain(found), "rows": {file.name: copy_checked(file) for file in rows}}
            content = json.dumps(told).encode() + b"\n"
            (folder / _TOLD).write_bytes(content)
            checksum.beside(folder / _TOLD).write_text(checksum.line(content, _TOLD), encoding="utf-8")
    return {
        "folder": str(place),
        "paths": found.tally.united.samples,
        "unchecked_files": len(job.unchecked),
        "doubtful": found.doubtful,
    }


def merge(job: Job) -> dict[str, Any]:
    """Writes from all parts what one process would write without parts.

    Returns:
        As `selection.write`.

    Raises:
        UserError: a part is missing, damaged or of other settings, or an output cannot be written; nothing is written
            then.
    """
    ours = job_identity.of(job)
    parts = [_read(job.target, part, ours) for part in _all_parts(job.target)]
    models = passes.in_order(passes.earliest(*(part.found.read for part in parts)))
    for part in parts:
        # A part knows the models of files that it did not read by their manifests.
        if part.found.models != models:
            raise UserError(
                f"the part {part.folder} knows the models {part.found.models}, but the paths are of {models}: the "
                "manifest.json beside some paths names another model than they do; select without --part"
            )
    return selection.write(job, lambda streams, _: _join(job, parts, models, streams))


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """A part that was written: where, what came out, and of each file of rows its size and checksum."""

    part: Part
    folder: pathlib.Path
    found: Found
    rows: dict[str, list[int | str]]


def _folder(target: pathlib.Path, part: Part) -> pathlib.Path:
    return target.with_name(f"{target.name}.part-{part.index}-of-{part.count}")


def _there(target: pathlib.Path) -> set[Part]:
    """Returns the parts of which there are folders."""
    name = re.compile(rf"{re.escape(target.name)}\.part-([0-9]+)-of-([0-9]+)")
    return {Part(*map(int, match.groups())) for match in map(name.fullmatch, files.names(target.parent)) if match}


def _all_parts(target: pathlib.Path) -> list[Part]:
    """Returns the parts in order; there is a folder of each."""
    there = _there(target)
    counts = sorted({part.count for part in there})
    if not counts:
        raise UserError(f"there are no parts of {target}: run the same command with --part=I/N first, for each I")
    if len(counts) > 1:
        raise UserError(
            f"{target} has parts of {' and of '.join(map(str, counts))}: remove the folders {target}.part-* of all but "
            "one division"
        )
    parts = [Part(index, counts[0]) for index in range(counts[0])]
    if missing := [str(part) for part in parts if part not in there]:
        others = f" (and {', '.join(missing[1:6])}{'…' if len(missing) > 6 else ''})" if len(missing) > 1 else ""
        raise UserError(f"part {missing[0]} of {target} is missing{others}: run --part={missing[0]}")
    return parts


def _read(target: pathlib.Path, part: Part, ours: dict[str, Any]) -> _Part:
    """Returns a part.

    Raises:
        UserError: it cannot be read, or is of other settings.
    """
    folder = _folder(target, part)
    again = f"run --part={part} again"
    try:
        content = (folder / _TOLD).read_bytes()
        if checksum.beside(folder / _TOLD).read_text(encoding="utf-8") != checksum.line(content, _TOLD):
            raise ValueError("it is not what was written")
        told = json.loads(content)
        theirs = told["settings"]
        different = [
            f"{name}: {json.dumps(theirs.get(name))} there, {json.dumps(ours.get(name))} now"
            for name in sorted({*theirs, *ours})
            if theirs.get(name) != ours.get(name)
        ]
        if different:
            raise UserError(f"the part {folder} is of other settings ({'; '.join(different)}): {again}")
        found = told["found"]
        found |= {"tally": tally_json.from_json(found["tally"]), "killed": Counter(found["killed"])}
        rows = told["rows"]
        if any((folder / name).stat().st_size != size for name, (size, _) in rows.items()):
            raise ValueError("a file of rows is not what was written")
        return _Part(part, folder, Found(**found), rows)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"the part {folder} cannot be read: {again}") from error


def _join(job: Job, parts: Sequence[_Part], models: list[str], streams: Sequence[IO[bytes]]) -> Found:
    """Puts the rows of the parts together, in order, and adds up their counts."""
    joint = Found(job.no_counts(), models, {}, Counter(), doubtful=False)
    for part in tqdm(parts, desc="merge", unit="part", disable=None):
        for file, stream in zip(_row_files(part.folder, job), streams, strict=True):
            if copy_checked(file, stream) != part.rows.get(file.name):
                raise UserError(f"{file} is not what was written: run --part={part.part} again")
        joint.tally.add(part.found.tally)
        joint.killed.update(part.found.killed)
        joint.doubtful |= part.found.doubtful
    return joint


def copy_checked(file: pathlib.Path, stream: IO[bytes] | None = None) -> list[int | str]:
    """Returns size and checksum of a file; writes it to the stream, too."""
    digest = hashlib.sha256()
    size = 0
    with file.open("rb") as source:
        while data := source.read(_BUFFER):
            digest.update(data)
            size += len(data)
            if stream is not None:
                stream.write(data)
    return [size, digest.hexdigest()]


def _row_files(folder: pathlib.Path, job: Job) -> list[pathlib.Path]:
    return [folder / ("rows" if prefix is None else f"rows.k{prefix}") for prefix in job.prefixes]


def _plain(found: Found) -> dict[str, Any]:
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return fields | {"tally": tally_json.to_json(found.tally)}
