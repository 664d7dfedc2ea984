"""The checksums of a checkpoint: what was written is what is read.

A step's folder holds `manifest.json`: the size and the SHA-256 of each file of the state and the origin. It is written
before the folder gets its name, so every named checkpoint has it. One thread hashes about 1 GB per second, so several
threads share the files.
"""

import concurrent.futures
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from rft_jax import files

NAME = "manifest.json"
_THREADS = min(16, os.cpu_count() or 1)


def write(folder: Path) -> None:
    """Writes the manifest of a step's folder.

    Raises:
        OSError: a file cannot be read.
        UserError: the manifest cannot be written.
    """
    # Beside these folders Orbax keeps two small files of its own, which it still writes to after us.
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("*/**/*") if path.is_file())
    with concurrent.futures.ThreadPoolExecutor(_THREADS, "checksum") as pool:
        entries = dict(zip(names, pool.map(_entry, (folder / name for name in names)), strict=True))
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
        entries = json.loads((folder / NAME).read_text(encoding="utf-8"))
        expected = {str(name): (entry["bytes"], entry["sha256"]) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"{NAME} is damaged"
    shares = sorted(expected)[part::parts]

    def compare(name: str) -> str | None:
        size, digest = expected[name]
        path = folder / name
        try:
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size} bytes, {size} were saved"
            return None if _entry(path)["sha256"] == digest else f"{name} is not what was saved: its checksum differs"
        except FileNotFoundError:
            return f"{name} is missing"
        except (OSError, ValueError) as error:
            return f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"

    with concurrent.futures.ThreadPoolExecutor(_THREADS, "checksum") as pool:
        return next((found for found in pool.map(compare, shares) if found), None)


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
