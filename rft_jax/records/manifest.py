"""Which problems paths belong to: the manifest beside path files, compared with the problems at hand.

A path knows its problem by number only. A problem file that was sorted anew or lost a line would join paths to other
questions without a word, so the manifest holds how many problems there were and a hash of their questions in order. The
gold answers are not in it: a corrected one does not forbid the paths sampled before.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem

NAME = "manifest.json"
FIELD = "problems"  # of the manifest: what `of_problems` returns
BUDGET = "budget"  # of the manifest: what `of_budget` returns; none where every problem gets k samples
POLICIES, ALWAYS = "policies", "always"  # its fields


def of_problems(problems: Sequence[Problem]) -> dict[str, Any]:
    """Returns how many problems there are, and a hash of what is asked, in order; JSON values."""
    digest = hashlib.sha256()
    for problem in problems:
        turns = (text for turn in problem.history for text in turn)
        for text in (*turns, problem.question):
            digest.update(text.encode(errors="surrogatepass") + b"\0")
    return {"count": len(problems), "fingerprint": digest.hexdigest()[:16]}


def of_budget(policies: Sequence[str], always: int) -> dict[str, Any]:
    """Returns what to record where the number of a problem's samples depends on what they showed; JSON values.

    Args:
        policies: by which it was decided.
        always: the samples that every problem gets whatever they show.
    """
    return {POLICIES: list(policies), ALWAYS: always}


def always_sampled(files: Iterable[str | os.PathLike[str]]) -> dict[str, int]:
    """Returns the models whose samples stopped by what they showed, each with how many every problem surely has.

    Up to so many, estimates from its samples are unbiased.
    """
    found: dict[str, int] = {}
    folders: set[str] = set()
    for file in files:
        key = _folder_key(file)
        if key in folders:
            continue
        folders.add(key)
        told = beside(file) or {}
        if told.get(BUDGET) is not None:
            always = told[BUDGET].get(ALWAYS) if isinstance(told[BUDGET], dict) else None
            samples = always if isinstance(always, int) else 0  # of a version to come: nothing is sure
            model = str(told.get("name"))
            found[model] = min(samples, found.get(model, samples))
    return found


def _folder_key(file: str | os.PathLike[str]) -> str:
    """Returns what is the same for files that have one manifest; thousands of shards share a folder."""
    # A link may lead anywhere, so it has no folder in common with others.
    return os.fspath(file) if os.path.islink(file) else os.path.dirname(file)  # noqa: PTH114, PTH120, for millions


def beside(file: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Returns the manifest in the folder of a file, None if there is none that names its problems.

    Of a symbolic link the folder of its target comes first: the content is the target's.
    """
    for place in dict.fromkeys((Path(file).resolve().parent, Path(file).parent)):
        try:
            fields = json.loads((place / NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # none, or another program's
        if isinstance(fields, dict) and _named(fields) is not None:
            return fields
    return None


def _named(fields: dict[str, Any]) -> tuple[int, str] | None:
    told = fields.get(FIELD)
    if not isinstance(told, dict):
        return None  # of a version that did not write it
    count, fingerprint = told.get("count"), told.get("fingerprint")
    return (count, fingerprint) if isinstance(count, int) and isinstance(fingerprint, str) else None


def check(files: Iterable[str | os.PathLike[str]], problems: Sequence[Problem], source: str) -> list[str]:
    """Compares the manifests beside path files with the problems that they are to be joined to.

    Args:
        files: of paths.
        problems: to join them to.
        source: where these come from, to name it.

    Returns:
        The files that cannot be checked: no manifest that names its problems lies beside them.

    Raises:
        UserError: a file belongs to other problems.
    """
    now = of_problems(problems)
    here = (now["count"], now["fingerprint"])
    unknown = []
    told: dict[str, tuple[int, str, str] | None] = {}
    for file in files:
        key = _folder_key(file)
        if key not in told:
            told[key] = _told(beside(file))
        there = told[key]
        if there is None:
            unknown.append(os.fspath(file))
        elif there[:2] != here:
            what = "as many, but others or in another order" if there[0] == here[0] else f"{there[0]:,} of them"
            raise UserError(
                f"the paths in {Path(file).parent} were sampled from other problems{there[2]} than {source}, which has "
                f"{here[0]:,} ({what}): give the problems that they were sampled from, unchanged"
            )
    return unknown


def _told(manifest: dict[str, Any] | None) -> tuple[int, str, str] | None:
    named = None if manifest is None else _named(manifest)
    if manifest is None or named is None:
        return None
    file = manifest[FIELD].get("file")
    return (*named, f" ({file})" if isinstance(file, str) else "")
