"""One path for each equation list, the one that reads least like the others: the paper's selection (section 3.3)."""

from collections.abc import Iterable

from rapidfuzz.distance import Levenshtein

# A distance takes the product of two lengths. 256 sampled tokens are about 1,000 characters; what is longer than this
# is no solution to a grade-school problem, and two megabytes of it would stop the run for hours.
MAX_CHARACTERS = 16_384
# A solution has about five lines. Of a text with many more, the last ones count as one.
_MAX_PARTS = 16


class Farthest:
    """Chooses among the paths of one problem, and remembers distances from one choice to the next.

    The algorithm is the reference's: paths come in order; a new equation list is kept; for a known one, the new path
    replaces the kept one if its Levenshtein distances to the paths kept for the *other* lists sum to strictly more.
    The outcome is the reference's too, but most distances are never computed:
    - each pair is measured once, and equal texts are one text;
    - a text that was turned down is not looked at again until some kept path has changed;
    - a distance is at most the sum of the distances line by line, which takes half the time and is a few percent too
      large. A path whose bounds sum to no more than the kept path's distances is turned down, bounds giving way to
      distances one by one.
    """

    def __init__(self) -> None:
        self._texts: dict[str, _Text] = {}

    def choose(self, candidates: Iterable[tuple[str, str]]) -> list[int]:
        """Returns the places, in `candidates`, of the paths to keep, in the order in which their lists came up.

        Args:
            candidates: equation list and text of each path, in order.
        """
        slots: dict[str, int] = {}  # equation list -> place in `kept`
        kept: list[_Text] = []  # the text kept for each list
        places: list[int] = []
        changes = 0  # of `kept`
        to_beat: dict[int, tuple[int, int]] = {}  # slot -> changes so far, and the kept text's sum of distances then
        turned_down: dict[_Text, int] = {}  # text -> changes when it was turned down
        for place, (equations, response) in enumerate(candidates):
            new = self._texts.get(response)
            if new is None:
                new = self._texts[response] = _Text(response)
            slot = slots.get(equations)
            if slot is None:
                slots[equations] = len(kept)
                kept.append(new)
                places.append(place)
                changes += 1
            elif new is not kept[slot] and turned_down.get(new) != changes:
                others = kept[:slot] + kept[slot + 1 :]
                known = to_beat.get(slot)
                if known is None or known[0] != changes:
                    known = to_beat[slot] = changes, sum(map(kept[slot].distance, others))
                if _is_farther(new, others, known[1]):
                    kept[slot] = new
                    places[slot] = place
                    changes += 1
                else:
                    turned_down[new] = changes
        return places


class _Text:
    """A text, and what is known of it.

    Attributes:
        text: the text.
        most_parts: into how many it can be cut.
        parts: how many -> the parts.
        distances: other text -> distance.
        bounds: other text -> what the distance is at most.
    """

    __slots__ = ("bounds", "distances", "most_parts", "parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        # The last line, `#### answer`, is no part of its own: it is nearly the same in all.
        self.most_parts = min(text.count("\n"), _MAX_PARTS) or 1
        self.parts = _Parts(text)
        self.distances: dict[_Text, int] = {}
        self.bounds: dict[_Text, int] = {}

    def distance(self, other: "_Text") -> int:
        distance = self.distances.get(other)
        if distance is None:
            # Told how large the distance can be, rapidfuzz computes a band of the table only.
            distance = Levenshtein.distance(self.text, other.text, score_hint=self.bounds.get(other))
            self.distances[other] = other.distances[self] = distance
        return distance


class _Parts(dict[int, list[str]]):
    """How many parts -> the parts of a text: its first lines, and the rest as one."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __missing__(self, count: int) -> list[str]:
        parts = self[count] = self._text.split("\n", count - 1)
        return parts


def _is_farther(new: _Text, others: list[_Text], to_beat: int) -> bool:
    """Tells whether the distances of `new` to `others` sum to more than `to_beat`."""
    distances, bounds, parts, most_parts = new.distances, new.bounds, new.parts, new.most_parts
    at_most = 0
    bounded = []
    for other in others:
        bound = distances.get(other)
        if bound is None:
            bound = bounds.get(other)
            if bound is None:
                count = min(most_parts, other.most_parts)
                bound = bounds[other] = sum(map(Levenshtein.distance, parts[count], other.parts[count]))
            bounded.append(other)
        at_most += bound
    # The largest bounds have the most to give.
    bounded.sort(key=bounds.__getitem__, reverse=True)
    for other in bounded:
        if at_most <= to_beat:
            return False
        at_most -= bounds[other] - new.distance(other)
    return at_most > to_beat
