r"""File and folder names in flags: lists and patterns that work whatever characters the names contain.

Commas separate the names in a list. A comma inside double quotes or after a backslash is part of a name:
`"lr=1e-5,seed=0/paths/*.jsonl",other/*.jsonl` are two names, and so are `lr=1e-5\,seed=0/paths/*.jsonl,other/*.jsonl`.
"""

import glob
import os
import re
from collections.abc import Iterable

QUOTING = r'put a comma that is part of a name inside double quotes ("a,b") or after a backslash (a\,b)'

# An escaped character, a quote, a comma, or anything else.
_TOKEN = re.compile(r'\\[\\,"]|.', re.DOTALL)
_SPECIAL = frozenset(',"\\')


def split_list(text: str) -> list[str]:
    """Returns the names in a list; spaces around a name count only inside quotes.

    Raises:
        ValueError: a quote is not closed.
    """
    if not text.strip():
        return []
    names = [""]
    bare = ""  # spaces that count only if more of the name follows
    quoted = False
    for token in _TOKEN.findall(text):
        if token == '"':
            quoted = not quoted
            names[-1] += bare if names[-1] else ""
            bare = ""
        elif token == "," and not quoted:
            names.append("")
            bare = ""
        elif token.isspace() and not quoted:
            bare += token
        else:
            names[-1] += (bare if names[-1] else "") + token[-1]
            bare = ""
    if quoted:
        raise ValueError(f"unclosed double quote in {text[:80]}")
    return names


def join_list(names: Iterable[str]) -> str:
    """Returns the list that `split_list` splits into these names."""
    return ",".join(map(_quoted, names))


def _quoted(name: str) -> str:
    if name and name == name.strip() and not _SPECIAL & set(name):
        return name
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'


def matches(pattern: str) -> list[str]:
    """Returns the existing paths that match a name or a pattern (`*`, `?`, `[…]`, `**` across folders), in no order.

    A name that exists is taken literally: `run[1]/*.jsonl` means the files in the folder `run[1]` if there is one, else
    those in `run1`; `a*b` likewise. `glob.escape` makes a pattern that can only mean one name.
    """
    return _matches("", pattern.split("/"))


def _matches(folder: str, parts: list[str]) -> list[str]:
    """Returns the matches in a folder, whose name is empty or ends with a slash."""
    part, *rest = parts
    exists = not part or os.path.lexists(folder + part)
    found = [folder + part] if exists else glob.glob(glob.escape(folder) + part, recursive=True)  # noqa: PTH207
    return [match for each in found for match in _matches(f"{each.rstrip('/')}/", rest)] if rest else found
