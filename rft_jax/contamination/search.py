"""Finds test texts in one text: a training problem's question, or a document that may hold a question anywhere."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping

from rapidfuzz.distance import Levenshtein

from rft_jax.contamination.index import SEED, SHARED, Index, Runs, Text
from rft_jax.contamination.index import keys as keys_of
from rft_jax.contamination.pairs import Kind, Match

NEAR = 0.75  # the least similarity of near copies; BUILD.md tells what lies around it on GSM8K
_WHOLE = {"text": Kind.TEXT, "plain": Kind.NORMALISED, "unnumbered": Kind.NUMBERS, "anonymous": Kind.NAMES}
# A part of a text that is compared may be longer or shorter than the question, as something is inserted or left out, by
# these fractions of it; and how finely the places are told apart where it is compared.
_LONGER, _SHORTER, _FINE = 2, 3, 100


def search(index: Index, text: str, near: Mapping[int, float] | None = None) -> list[Match]:
    """Returns the strongest match of each test text that a text holds, in the order of the test texts.

    Args:
        index: of the test texts.
        text: any text.
        near: test texts that the whole text is known to be near to, with the similarity.
    """
    other = index.coded(text)
    best: dict[int, Match] = {}
    for match in _matches(index, other, near or {}):
        known = best.get(match.test)
        if known is None or match.order < known.order:
            best[match.test] = match
    return [best[test] for test in sorted(best)]


def _matches(index: Index, other: Text, near: Mapping[int, float]) -> Iterator[Match]:
    count = len(other.plain.text)
    for key in keys_of(other):
        for test in index.wholes.get(key, ()):
            yield Match(test, _WHOLE[key[0]], _similarity(index.texts[test], other, 0, count), 0, count)
    for test, similarity in near.items():
        yield Match(test, Kind.NEAR, similarity, 0, count)
    for test, places in _hits(index.unnumbered, other.unnumbered.text, SEED).items():
        yield from _copies(test, index.texts[test], other, places)
    for test, places in _hits(index.anonymous, other.anonymous.text, SEED).items():
        found = other.anonymous.text.find(index.texts[test].anonymous.text, max(0, min(places)))
        if found >= 0:
            end = found + len(index.texts[test].anonymous.text)
            yield _match(test, Kind.NAMES, index, other, other.anonymous.starts[found], other.anonymous.starts[end])
    for test, places in _hits(index.shared, other.plain.text, SHARED).items():
        begin = max(0, min(places))
        yield _match(test, Kind.WORDS, index, other, begin, min(count, begin + len(index.texts[test].plain.text)))


def _hits(runs: Runs, text: str, length: int) -> dict[int, set[int]]:
    """Returns where in a text each test text would begin, by the runs of words that they have in common."""
    hits: dict[int, set[int]] = {}
    for place in range(len(text) - length + 1):
        for test, inside in runs.get(text[place : place + length], ()):
            hits.setdefault(test, set()).add(place - inside)
    return hits


def _copies(test: int, tested: Text, other: Text, places: set[int]) -> Iterator[Match]:
    """Yields the strongest copy of a test text around the places at which it would begin, with numbers masked."""
    wanted, text, starts = tested.unnumbered.text, other.unnumbered.text, other.unnumbered.starts
    low, high = max(0, min(places)), min(len(text), max(places) + len(wanted))
    same = other.plain.text.find(tested.plain.text, starts[low], starts[high])
    if same >= 0:
        kind = Kind.TEXT if tested.text in other.text else Kind.NORMALISED
        yield Match(test, kind, 1.0, same, same + len(tested.plain.text))
    elif (found := text.find(wanted, low, high)) >= 0:
        yield Match(test, Kind.NUMBERS, 1.0, starts[found], starts[found + len(wanted)])
    elif nearest := _nearest(wanted, text, sorted(places)):
        similarity, begin, end = nearest
        yield Match(test, Kind.NEAR, similarity, starts[begin], starts[end])


def _nearest(wanted: str, text: str, places: list[int]) -> tuple[float, int, int] | None:
    """Returns the similarity of the part of a text that is most like the wanted one, its begin and end, if it is near.

    The runs of words before and behind what is inserted or left out tell of different places; so a part may end where
    another place says. Places closer than a hundredth of the text to the one before are not compared.
    """
    length, best, nearest = len(wanted), NEAR, None
    before = places[0] - length  # the place compared before
    for place in places:
        if place - before < length // _FINE:
            continue
        before = place
        first = places[bisect_left(places, place - length // _SHORTER)]
        last = places[bisect_right(places, place + length // _LONGER) - 1]
        for ends_as in dict.fromkeys((place, first, last)):
            begin, end = max(0, place), min(len(text), ends_as + length)
            similarity = Levenshtein.normalized_similarity(wanted, text[begin:end], score_cutoff=best)
            if similarity >= best and (nearest is None or similarity > best):
                best, nearest = similarity, (similarity, begin, end)
    return nearest


def _match(test: int, kind: Kind, index: Index, other: Text, begin: int, end: int) -> Match:
    return Match(test, kind, _similarity(index.texts[test], other, begin, end), begin, end)


def _similarity(tested: Text, other: Text, begin: int, end: int) -> float:
    """Returns how alike a test text and a part of another are, with numbers masked; the part is of plain words."""
    part = other.unnumbered.text[other.unnumbered.place(begin) : other.unnumbered.place(max(begin, end - 1)) + 1]
    return Levenshtein.normalized_similarity(tested.unnumbered.text, part)
