"""One path for each equation list, the one that reads least like the others: the paper's selection (section 3.3)."""

from collections.abc import Iterable

from rapidfuzz.distance import Indel, Levenshtein

# A distance takes the product of two lengths. 256 sampled tokens are about 1,000 characters; what is longer than this
# is no solution to a grade-school problem, and two megabytes of it would stop the run for hours.
MAX_CHARACTERS = 16_384


class Farthest:
    """Chooses among the paths of one problem, and remembers distances from one choice to the next.

    The algorithm is the reference's: paths come in order; a new equation list is kept; for a known one, the new path
    replaces the kept one if its Levenshtein distances to the paths kept for the *other* lists sum to strictly more.
    The outcome is the reference's too, but most distances are never computed:
    - each pair is measured once, and equal texts are one text;
    - a text that was turned down is not looked at again until some kept path has changed;
    - insertions and deletions alone are measured four times faster and bound the distance from above, so a path whose
      bounds sum to no more than the kept path's distances is turned down, bounds giving way to distances one by one.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # text -> its number
        self._texts: list[str] = []
        self._distances: list[dict[int, int]] = []  # text -> other text -> distance
        self._bounds: list[dict[int, int]] = []  # the same for upper bounds

    def choose(self, candidates: Iterable[tuple[str, str]]) -> list[int]:
        """Returns the places, in `candidates`, of the paths to keep, in the order in which their lists came up.

        Args:
            candidates: equation list and text of each path, in order.
        """
        slots: dict[str, int] = {}  # equation list -> place in `kept`
        kept: list[int] = []  # the text kept for each list
        places: list[int] = []
        turned_down: dict[int, int] = {}  # text -> the number of changes when it was turned down
        changes = 0
        for place, (equations, text) in enumerate(candidates):
            new = self._number(text)
            slot = slots.get(equations)
            if slot is None:
                slots[equations] = len(kept)
                kept.append(new)
                places.append(place)
                changes += 1
            elif new != kept[slot] and turned_down.get(new) != changes:
                others = kept[:slot] + kept[slot + 1 :]
                if self._is_farther(new, kept[slot], others):
                    kept[slot] = new
                    places[slot] = place
                    changes += 1
                else:
                    turned_down[new] = changes
        return places

    def _is_farther(self, new: int, old: int, others: list[int]) -> bool:
        """Tells whether `new` has the larger sum of distances to `others`."""
        to_beat = sum(self._distance(old, other) for other in others)
        known = self._distances[new]
        at_most = 0
        bounded = []
        for other in others:
            distance = known.get(other)
            if distance is None:
                distance = self._bound(new, other)
                bounded.append(other)
            at_most += distance
        # The largest bounds have the most to give.
        bounded.sort(key=self._bounds[new].__getitem__, reverse=True)
        for other in bounded:
            if at_most <= to_beat:
                return False
            at_most -= self._bound(new, other) - self._distance(new, other)
        return at_most > to_beat

    def _number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
            self._distances.append({})
            self._bounds.append({})
        return number

    def _bound(self, one: int, other: int) -> int:
        bound = self._bounds[one].get(other)
        if bound is None:
            left, right = self._texts[one], self._texts[other]
            bound = min(Indel.distance(left, right), max(len(left), len(right)))
            self._bounds[one][other] = self._bounds[other][one] = bound
        return bound

    def _distance(self, one: int, other: int) -> int:
        distance = self._distances[one].get(other)
        if distance is None:
            # Told how large the distance can be, rapidfuzz computes a band of the table only.
            hint = self._bound(one, other)
            distance = Levenshtein.distance(self._texts[one], self._texts[other], score_hint=hint)
            self._distances[one][other] = self._distances[other][one] = distance
        return distance
