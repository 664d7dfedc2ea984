"""The checksum beside a file of paths, in the format of sha256sum: what was written is what is read."""

import concurrent.futures
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from rft_jax.errors import UserError

SUFFIX = ".sha256"
_THREADS = min(8, os.cpu_count() or 1)  # one hashes about 1 GB per second


def beside(file: Path) -> Path:
    """Returns where the checksum of a file stands."""
    return file.with_name(file.name + SUFFIX)


def line(content: bytes, name: str) -> str:
    """Returns the text of the checksum of a file of this content and name."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def check(files: Sequence[str]) -> None:
    """Compares files with their checksums, where they have one.

    Raises:
        UserError: a file is not what was written.
    """
    with concurrent.futures.ThreadPoolExecutor(_THREADS, "checksum") as pool:
        for file, whole in zip(files, pool.map(_is_whole, files), strict=True):
            if not whole:
                raise UserError(
                    f"{file} is not what was written, its checksum differs: the command that sampled it makes it anew; "
                    f"or if you changed it on purpose, remove {beside(Path(file)).name}"
                )


def _is_whole(name: str) -> bool:
    file = Path(name).resolve()  # the content is that of a link's target
    try:
        told = beside(file).read_text(encoding="utf-8").split()
        if len(told) != 2 or told[1] != file.name:
            return True  # another program's
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest() == told[0]
    except (OSError, ValueError):
        return True  # there is none; or whoever opens the file says why it cannot be read
