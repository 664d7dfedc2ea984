"""What was found: pairs of a test problem and another text, and the strongest few of each problem."""

import dataclasses
import enum
from collections import Counter

LISTED = 5  # pairs of a test problem that are kept: a text that is there a million times is not listed as often


class Kind(enum.StrEnum):
    """How alike two texts are, from the strongest to the weakest."""

    TEXT = "same_text"
    NORMALISED = "same_words"
    NUMBERS = "numbers_differ"
    NAMES = "names_differ"
    NEAR = "near"
    WORDS = "shares_13_words"

    @property
    def rank(self) -> int:
        """Its place, from 0 for the strongest."""
        return _RANKS[self]


_RANKS = {kind: rank for rank, kind in enumerate(Kind)}
TOLD = {
    Kind.TEXT: "same text",
    Kind.NORMALISED: "same words: case, punctuation or spaces differ",
    Kind.NUMBERS: "same but for numbers",
    Kind.NAMES: "same but for names and numbers",
    Kind.NEAR: "nearly the same words, numbers aside",
    Kind.WORDS: "13 words in a row in common",
}


@dataclasses.dataclass(frozen=True)
class Match:
    """A test text found in another text.

    Attributes:
        test: its number among the distinct test texts.
        kind: how alike they are.
        similarity: 1 - edits / words of the longer, with numbers masked, of the test text and the part of the other
            text that is most like it.
        begin, end: that part, as places in the other text's normalised words.
    """

    test: int
    kind: Kind
    similarity: float
    begin: int
    end: int

    @property
    def order(self) -> tuple[int, float]:
        """A key that sorts the strongest first."""
        return self.kind.rank, -self.similarity


@dataclasses.dataclass(frozen=True)
class Pair:
    """A test text and what is like it.

    Attributes:
        kind, similarity: as of the `Match`.
        row: of the other text in its file, from 1.
        text: the other text, or of a long one the part that is alike.
    """

    kind: Kind
    similarity: float
    row: int
    text: str

    @property
    def order(self) -> tuple[int, float]:
        """A key that sorts the strongest first."""
        return self.kind.rank, -self.similarity


class Found:
    """The strongest pairs of each distinct test text in one file, and how many there are of each kind."""

    def __init__(self) -> None:
        self._pairs: dict[int, list[Pair]] = {}
        self._counts: dict[int, Counter[Kind]] = {}
        self._last: dict[int, Pair] = {}

    def add(self, test: int, pair: Pair) -> None:
        """Takes a pair; rows come in order, and of a row's pairs the strongest counts.

        Of equally strong pairs the earlier ones are kept.
        """
        kept, counts = self._pairs.setdefault(test, []), self._counts.setdefault(test, Counter())
        last = self._last.get(test)
        if last and last.row == pair.row:  # a row has several texts, and blocks of plain text overlap
            if last.order <= pair.order:
                return
            counts[last.kind] -= 1
            kept[:] = [each for each in kept if each is not last]
        self._last[test] = pair
        counts[pair.kind] += 1
        kept.append(pair)
        kept.sort(key=lambda each: each.order)  # stable
        del kept[LISTED:]

    def of(self, test: int) -> list[Pair]:
        """Returns the pairs of a test text, the strongest first."""
        return self._pairs.get(test, [])

    def counts(self, test: int) -> Counter[Kind]:
        """Returns how many pairs a test text has, those included that are not kept."""
        return self._counts.get(test, Counter())
