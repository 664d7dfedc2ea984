"""One path for each equation list, the one that reads least like the others: the paper's selection (section 3.3).

Or, as a control of that choice, the one that reads most like them.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

# A distance takes the product of two lengths. 256 sampled tokens are about 1,000 characters; what is longer than this
# is no solution to a grade-school problem, and two megabytes of it would stop the run for hours.
MAX_CHARACTERS = 16_384
# A solution has about five lines. Of a text with many more, the last ones count as one.
_MAX_LINES = 16
# rapidfuzz measures many pairs at once where a piece has up to 64 characters.
_PIECE = 64
# What a choice makes as large as it can: the sum of the distances, or that of their negatives.
Sign = Literal[1, -1]
FARTHEST: Sign = 1
NEAREST: Sign = -1
# How many of the coming texts are bounded at once: more fill the vector units better, but some kept path changes soon.
_WINDOW = 24


class Farthest:
    """Chooses among the paths of one problem, and remembers distances from one choice to the next.

    The algorithm is the reference's: paths come in order; a new equation list is kept; for a known one, the new path
    replaces the kept one if its Levenshtein distances to the paths kept for the *other* lists sum to strictly more.
    The outcome is the reference's too, but most distances are never computed:
    - each pair is measured once, and equal texts are one text;
    - a text that was turned down is not looked at again until some kept path has changed;
    - a text is turned down without a distance when what its distances are at most (`_Bounds`) sums to no more than the
      kept path's; bounds give way to distances one by one.

    The nearest are chosen by the same steps: each distance counts as its negative.
    """

    def __init__(self) -> None:
        self._texts: dict[str, _Text] = {}

    def choose(self, candidates: Iterable[tuple[str, str]], sign: Sign = FARTHEST) -> list[int]:
        """Returns the places, in `candidates`, of the paths to keep, in the order in which their lists came up.

        Args:
            candidates: equation list and text of each path, in order.
            sign: FARTHEST, or NEAREST: a path replaces the kept one if its distances sum to strictly less.
        """
        slots: dict[str, int] = {}  # equation list -> place in `kept`
        coming = [
            (slots.setdefault(equations, len(slots)), self._texts.get(response) or self._remember(response))
            for equations, response in candidates
        ]
        kept: list[_Text] = []  # the text kept for each list
        places: list[int] = []
        to_beat: dict[int, int] = {}  # slot -> the kept text's sum of signed distances
        turned_down: set[_Text] = set()
        bounds = _Bounds([], [], sign)
        for place, (slot, new) in enumerate(coming):
            if slot == len(kept):
                kept.append(new)
                places.append(place)
                bounds.add_slot(slot)
            elif new is kept[slot] or new in turned_down:
                continue
            else:
                if slot not in to_beat:
                    old = kept[slot]
                    to_beat[slot] = sign * sum([old.distance(other) for other in kept if other is not old])
                if new not in bounds.rows:
                    bounds = _Bounds([text for _, text in coming[place : place + _WINDOW]], kept, sign)
                if not bounds.is_better(new, slot, kept, to_beat[slot]):
                    turned_down.add(new)
                    continue
                bounds.change(slot, kept[slot], new)
                kept[slot] = new
                places[slot] = place
            to_beat.clear()
            turned_down.clear()
        return places

    def _remember(self, response: str) -> "_Text":
        text = self._texts[response] = _Text(response, len(self._texts))
        return text


class _Text:
    """A text, its pieces, which together are the text, and its distances to others by their numbers.

    By their numbers, so that no two texts refer to each other: nothing then waits for the search for cycles.

    The last line, `#### answer`, comes first. Each of the other lines is two pieces, mostly of at most `_PIECE`
    characters, cut before its first equation: there two texts are most likely to match each other.
    """

    __slots__ = ("distances", "number", "pieces", "text")

    def __init__(self, text: str, number: int) -> None:
        self.text = text
        self.number = number
        self.distances: dict[int, int] = {}
        *lines, last = text.split("\n", _MAX_LINES)
        self.pieces = [last]
        for line in lines:
            # Without an equation or a space the cut is before the last character: a line in one piece, nearly.
            equation = line.find("<<")
            cut = line.rfind(" ", 0, equation if equation <= _PIECE else _PIECE + 1)
            self.pieces += (line[:cut], line[cut:] + "\n")

    def distance(self, other: "_Text", at_most: int | None = None) -> int:
        """Returns the distance; it is found sooner when it is known to be `at_most` so much."""
        distance = self.distances.get(other.number)
        if distance is None:
            distance = Levenshtein.distance(self.text, other.text, score_cutoff=at_most)
            self.distances[other.number] = other.distances[self.number] = distance
        return distance


class _Bounds:
    """What the signed distances of the coming texts to the kept ones are at most.

    A distance is at most the sum over the pieces, and at least the difference of the lengths.

    Some texts are bounded at once, when the first of them comes. Where another text is kept for a slot since then, its
    distance from the one before is added (the triangle inequality); a new slot has distances in place of bounds.

    Attributes:
        sign: of the distances.
        rows: text -> its bound for each slot; 0 for a new slot.
    """

    def __init__(self, texts: Sequence[_Text], kept: Sequence[_Text], sign: Sign) -> None:
        self.sign = sign
        bounds = _most(texts, kept) if sign == FARTHEST else -_least(texts, kept)
        self.rows: dict[_Text, list[int]] = dict(zip(texts, bounds.tolist(), strict=True))
        self._unbounded: list[int] = []  # slots

    def add_slot(self, slot: int) -> None:
        """Takes note of the first text kept for a new slot, which has no bounds."""
        self._unbounded.append(slot)
        for row in self.rows.values():
            row.append(0)

    def change(self, slot: int, old: _Text, new: _Text) -> None:
        """Takes note that `new` is kept for a slot in place of `old`."""
        if slot not in self._unbounded:
            distance = old.distance(new)
            for row in self.rows.values():
                row[slot] += distance

    def is_better(self, new: _Text, slot: int, kept: Sequence[_Text], to_beat: int) -> bool:
        """Tells whether the signed distances of `new` to the texts kept for other slots sum to more than `to_beat`."""
        row, sign = self.rows[new], self.sign
        exact = sum([new.distance(kept[other]) for other in self._unbounded if other != slot])
        at_most = sum(row) - row[slot] + sign * exact
        if at_most <= to_beat:
            return False
        # The largest bounds have the most to give.
        for bound, other in sorted(zip(row, range(len(row)), strict=True), reverse=True):
            if other != slot and other not in self._unbounded:
                at_most -= bound - sign * new.distance(kept[other], bound if sign == FARTHEST else None)
                if at_most <= to_beat:
                    return False
        return True


def _most(texts: Sequence[_Text], kept: Sequence[_Text]) -> np.ndarray:
    """Returns what the distances are at most, [texts, kept]: the piece at each place of the one and of the other."""
    columns = itertools.zip_longest(*[text.pieces for text in (*texts, *kept)], fillvalue="")
    count = len(texts)
    return sum(
        (cdist(column[:count], column[count:], scorer=Levenshtein.distance) for column in columns),
        start=np.zeros((count, len(kept)), np.int32),
    )


def _least(texts: Sequence[_Text], kept: Sequence[_Text]) -> np.ndarray:
    """Returns what the distances are at least, [texts, kept]."""
    ours, theirs = (np.array([len(text.text) for text in each], np.int32) for each in (texts, kept))
    return np.abs(ours[:, None] - theirs)
