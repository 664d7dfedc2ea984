"""The checksums of a checkpoint: what was written is what is read.

A step's folder holds `manifest.json`: the size and the SHA-256 of each file of the state and the origin. It is written
before the folder gets its name, so every named checkpoint has it. One thread hashes about 1 GB per second, so several
threads share the files. In a bucket the sum is the MD5 that the store reckons itself (bucket_folder.py).
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from rft_jax import files

NAME = "manifest.json"
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_THREADS = min(16, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What was saved in a file.

    Attributes:
        size: in bytes.
        algorithm: of the checksum: sha256, or md5 if a bucket's store reckoned it.
        digest: in hexadecimal.
    """

    size: int
    algorithm: str
    digest: str


def parse(text: str) -> dict[str, Entry]:
    """Returns the entries of a manifest by their files' places in the step's folder.

    Raises:
        UNREADABLE: the text is something else.
    """
    entries = {}
    for name, entry in json.loads(text).items():
        algorithm = "md5" if "md5" in entry else "sha256"
        entries[name] = Entry(int(entry["bytes"]), algorithm, str(entry[algorithm]))
    return entries


def write(folder: Path) -> None:
    """Writes the manifest of a step's folder.

    Raises:
        OSError: a file cannot be read.
        UserError: the manifest cannot be written.
    """
    # Beside these folders Orbax keeps two small files of its own, which it still writes to after us.
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("*/**/*") if path.is_file())
    with concurrent.futures.ThreadPoolExecutor(_THREADS, "checksum") as pool:
        entries = dict(zip(names, pool.map(_described, (folder / name for name in names)), strict=True))
    with files.whole_file(folder / NAME) as path:
        path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def exists(folder: Path) -> bool:
    """Tells whether a step's folder has a manifest; those that earlier versions saved have none."""
    return (folder / NAME).exists()


def fault(folder: Path, part: int = 0, parts: int = 1) -> str | None:
    """Returns what is wrong with the first damaged file of a step's folder that has a manifest, or None.

    Args:
        folder: of the step.
        part, parts: checks one of so many shares of the files, for processes that share the work.
    """
    try:
        expected = parse((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, *UNREADABLE):
        return f"{NAME} is damaged"
    shares = sorted(expected)[part::parts]

    def compare(name: str) -> str | None:
        entry = expected[name]
        path = folder / name
        try:
            if path.stat().st_size != entry.size:
                return f"{name} has {path.stat().st_size} bytes, {entry.size} were saved"
            same = _digest(path, entry.algorithm) == entry.digest
            return None if same else f"{name} is not what was saved: its checksum differs"
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, ValueError) as error:
            return f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"

    with concurrent.futures.ThreadPoolExecutor(_THREADS, "checksum") as pool:
        return next((found for found in pool.map(compare, shares) if found), None)


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _digest(path, "sha256")}


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
