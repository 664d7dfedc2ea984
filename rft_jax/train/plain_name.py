"""A name for a folder that Orbax and tensorstore understand.

Orbax takes brackets in a folder's name for a pattern, which matches nothing, and tensorstore a backslash for a slash. A
checkpoint in `run[1]` would lack its arrays without a word.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ODD = frozenset("[]\\")


@contextlib.contextmanager
def plain_name(folder: Path) -> Iterator[Path]:
    """Yields the absolute path of a folder, or where its name has odd characters, a link to it."""
    folder = folder.absolute()
    if not _ODD & set(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="rft_jax-") as home:
        link = Path(home) / "folder"
        link.symlink_to(folder, target_is_directory=True)
        yield link
