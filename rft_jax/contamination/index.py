"""Finds the test texts that a text may hold: by runs of words, in memory that the test texts alone determine."""

import dataclasses
import functools
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from rft_jax.contamination.words import Form, Words, normal, read
from rft_jax.errors import UserError

SEED = 8  # words in a row that a near copy has in common with its original; texts with fewer are compared as wholes
SHARED = 13  # words in a row that count by themselves
_COMMON = 8  # a run that more test texts have tells little, and is left out unless a text has none that is rarer
_FIRST, _MOST = 0x10000, 0x110000 - 0x10000  # code points, beyond the surrogates, which are no characters
_UNKNOWN = "\0"  # a word that no test text has

Runs = dict[str, list[tuple[int, int]]]


@dataclasses.dataclass(frozen=True)
class Coded:
    """A form of a text with a character for each word, so that runs of words are parts of a string.

    Attributes:
        text: a character per word.
        starts: as of the `Form`.
    """

    text: str
    starts: Sequence[int]

    def place(self, plain: int) -> int:
        """Returns which of its words stands for a normalised word."""
        return max(0, bisect_right(self.starts, plain) - 1)


@dataclasses.dataclass(frozen=True)
class Text:
    """A text in all that it is compared by.

    Attributes:
        text: in NFKC, without spaces at its ends.
        plain, unnumbered, anonymous: its forms, as of `Words`.
    """

    text: str
    plain: Coded
    unnumbered: Coded
    anonymous: Coded


class Index:
    """The test texts, by their runs of words.

    Attributes:
        texts: the test texts.
        wholes: maps a text, and the characters of each of its forms, to the test texts that have them.
        unnumbered: maps runs of SEED words without numbers to (test text, place in it).
        anonymous: likewise without names; one run of each text, as it serves to find copies that have all of them.
        shared: maps all runs of SHARED normalised words likewise.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._characters: dict[str, str] = {}
        self.texts = [self._coded(text, learn=True) for text in texts]
        if len(self._characters) > _MOST:
            raise UserError(f"the test problems have more than {_MOST:,} different words; compare them in parts")
        self.wholes: dict[tuple[str, str], list[int]] = {}
        for number, text in enumerate(self.texts):
            for key in keys(text):
                self.wholes.setdefault(key, []).append(number)
        self.unnumbered = _rare_runs([text.unnumbered.text for text in self.texts], _COMMON)
        self.anonymous = _rare_runs([text.anonymous.text for text in self.texts], 0)
        self.shared = _runs([text.plain.text for text in self.texts], SHARED)

    def coded(self, text: str) -> Text:
        """Returns a text in the characters of the test texts' words."""
        return self._coded(text, learn=False)

    def _coded(self, text: str, *, learn: bool) -> Text:
        text = normal(text).strip()
        words: Words = read(text)
        return Text(text, *(self._form(form, learn) for form in (words.plain, words.unnumbered, words.anonymous)))

    def _form(self, form: Form, learn: bool) -> Coded:
        known = self._characters
        if learn:
            for word in form.words:
                known.setdefault(word, chr(_FIRST + len(known) % _MOST))
        return Coded("".join([known.get(word, _UNKNOWN) for word in form.words]), form.starts)


@functools.lru_cache(maxsize=1)
def index_of(texts: tuple[str, ...]) -> Index:
    """Returns the index of texts; a worker process makes it once."""
    return Index(texts)


def keys(text: Text) -> Iterable[tuple[str, str]]:
    """Yields what is equal for texts that are alike as wholes, the strongest first; texts without a word have no form.

    A form with masks counts from SEED words on: of shorter ones, such as `2 + 3`, little else is left.
    """
    if text.text:
        yield "text", text.text
    if text.plain.text:
        yield "plain", text.plain.text
    for name, form in (("unnumbered", text.unnumbered.text), ("anonymous", text.anonymous.text)):
        if len(form) >= SEED:
            yield name, form


def _runs(texts: Sequence[str], length: int) -> Runs:
    """Returns the places of the runs of words, of each run the first in each text."""
    runs: Runs = {}
    for number, text in enumerate(texts):
        for place in range(len(text) - length + 1):
            places = runs.setdefault(text[place : place + length], [])
            if not places or places[-1][0] != number:
                places.append((number, place))
    return runs


def _rare_runs(texts: Sequence[str], common: int) -> Runs:
    """Returns the runs that at most `common` texts have, and of each text that has none such, its rarest."""
    runs = _runs(texts, SEED)
    kept = {run: places for run, places in runs.items() if len(places) <= common}
    served = {number for places in kept.values() for number, _ in places}
    for number, text in enumerate(texts):
        if number not in served and len(text) >= SEED:
            of_text = (text[place : place + SEED] for place in range(len(text) - SEED + 1))
            rarest = min(of_text, key=lambda run: len(runs[run]))
            kept.setdefault(rarest, []).append((number, text.index(rarest)))
    return kept
