"""Path files of others, which have no manifest, and whether they speak of their questions.

A solution repeats names and numbers of its question. Paths that were sampled from other problems, or from the same in
another order, share no more words with the questions they are joined to than with any others.
"""

import itertools
import re
from collections.abc import Sequence

from rft_jax.records.path import read_paths
from rft_jax.records.problem import Problem

_FILES, _PATHS = 50, 20  # the first paths of the first files are looked at
_FEWEST = 20  # paths and problems that tell something
_CHARACTERS = 4_000
# On GSM8K, paths share 18 times as many words with their own question as with another one, on our own problems 13.
_FACTOR = 3
_WORD = re.compile(r"[^\W\d_]{4,}|[0-9]+")


def speak_of_others(files: Sequence[str], problems: Sequence[Problem]) -> bool:
    """Tells whether paths share hardly more words with their own questions than with others.

    Raises:
        UserError: a line is wrong.
    """
    if len(problems) < _FEWEST:
        return False
    own = other = seen = 0
    for file in files[:_FILES]:
        for path in itertools.islice(read_paths(file, len(problems)), _PATHS):
            words = _words(path.response)
            across = (path.problem + len(problems) // 2) % len(problems)
            mine, theirs = (_words(problems[number].question) for number in (path.problem, across))
            # What both questions say tells nothing.
            own += len(words & mine - theirs)
            other += len(words & theirs - mine)
            seen += 1
    return seen >= _FEWEST and other > 0 and own < _FACTOR * other


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text[:_CHARACTERS].lower()))
