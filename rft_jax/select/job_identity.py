"""What makes two selections the same, so that parts of different ones are never merged.

Of a user's FILE.py the text counts, not what it imports.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import pathlib
import platform
from typing import Any

from rft_jax.select.job import Job
from rft_jax.task.task import Reference

_ROOMS = ("records", "select", "task")
_PACKAGES = ("msgspec", "rapidfuzz", "sympy", "math-verify")  # what a path's grade or distance may depend on


def of(job: Job) -> dict[str, Any]:
    """Returns what the outcome depends on, short enough to be told, as JSON values."""
    questions = hashlib.sha256()
    for problem in job.questions:
        questions.update(json.dumps(dataclasses.astuple(problem)).encode())
    return {
        "problems": f"{len(job.questions):,} ({questions.hexdigest()[:16]})",
        "path files": f"{len(job.inputs.files):,} (names, sizes, times of change: {job.inputs.fingerprint})",
        "task": _task(job.criteria.task),
        "graders": list(map(_reference, job.criteria.graders)),
        "rules": _reference(job.criteria.rules),
        "k": job.prefixes[1:],
        "cap": job.cap,
        "samples of every problem": job.always,
        "code": _code(),
    }


def _task(reference: str) -> str:
    parsed = Reference.parse(reference)
    return str(parsed._replace(name=_reference(parsed.name)))


def _reference(reference: str) -> str:
    """Returns a shipped name, or a user's file with a hash of its text."""
    if not reference.endswith(".py"):
        return reference
    return f"{reference} ({hashlib.sha256(pathlib.Path(reference).read_bytes()).hexdigest()[:16]})"


@functools.cache
def _code() -> str:
    """Returns a hash of the code that selects, with the versions of what it uses."""
    digest = hashlib.sha256()
    package = pathlib.Path(__file__).parents[1]
    for file in sorted(file for room in _ROOMS for file in (package / room).rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # of an extra
            digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    return f"{digest.hexdigest()[:16]}, Python {platform.python_version()}"
