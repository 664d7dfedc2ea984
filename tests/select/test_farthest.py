"""The bounds and caches change nothing: the choice is that of the reference's plain loop."""

import gc
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from rft_jax.select.farthest import FARTHEST, NEAREST, Farthest, Sign, _Bounds, _Text

Candidates = list[tuple[str, str]]


def plain(candidates: Candidates, sign: Sign) -> list[str]:
    """The reference's loop: every distance anew, the others told apart by their text; or that loop turned round."""
    lists: list[str] = []
    kept: list[str] = []
    for name, new in candidates:
        if name not in lists:
            lists.append(name)
            kept.append(new)
            continue
        old = kept[lists.index(name)]
        others = [other for other in kept if other != old]
        old_sum, new_sum = (sum(Levenshtein.distance(text, other) for other in others) for text in (old, new))
        if (new_sum > old_sum) if sign == FARTHEST else (new_sum < old_sum):
            kept[lists.index(name)] = new
    return kept


# A text tells its equation list, as in a path; few letters make many equal distances.
candidates = st.lists(
    st.tuples(st.sampled_from("pqrs"), st.text(alphabet="ab <\n", max_size=12)).map(
        lambda pair: (pair[0], pair[0] + pair[1])
    ),
    max_size=30,
)


signs = pytest.mark.parametrize("sign", [FARTHEST, NEAREST])


@signs
@given(candidates)
def test_chooses_what_the_plain_loop_chooses(sign: Sign, paths: Candidates) -> None:
    assert [paths[place][1] for place in Farthest().choose(paths, sign)] == plain(paths, sign)


@signs
def test_chooses_the_same_from_as_many_paths_as_a_run_has(sign: Sign) -> None:
    draw = random.Random(0)
    words = ["she has", "apples", "in all,", "so there are", "left", "<<2*3=6>>6", "$<<10-4=6>>6"]

    def path() -> tuple[str, str]:
        lines = [" ".join(draw.choices(words, k=draw.randint(1, 16))) for _ in range(draw.randint(1, 20))]
        name = draw.choice("pqrstuvw")
        return name, "\n".join([*lines, f"#### {name}"])

    paths = [path() for _ in range(150)]
    assert [paths[place][1] for place in Farthest().choose(paths, sign)] == plain(paths, sign)


def test_the_nearest_are_not_the_farthest() -> None:
    paths = [("p", "p"), ("q", "qaaaa"), ("p", "paaaa"), ("q", "qbbbbbbb")]
    assert [Farthest().choose(paths, sign) for sign in (FARTHEST, NEAREST)] == [[0, 3], [2, 1]]


@given(st.lists(st.text(alphabet="ab <\n", max_size=60), min_size=1, max_size=5))
def test_a_bound_is_no_less_than_the_signed_distance(texts: list[str]) -> None:
    known = [_Text(text, number) for number, text in enumerate(texts)]
    for text in known:
        assert "".join([*text.pieces[1:], text.pieces[0]]) == text.text
    for sign in (FARTHEST, NEAREST):
        rows = _Bounds(known, known, sign).rows
        assert all(
            bound >= sign * text.distance(other)
            for text in known
            for bound, other in zip(rows[text], known, strict=True)
        )


@signs
@given(st.lists(st.text(alphabet="ab <\n", max_size=60), min_size=2, max_size=5), st.data())
def test_a_bound_stays_one_when_other_texts_are_kept(sign: Sign, texts: list[str], data: st.DataObject) -> None:
    known = [_Text(text, number) for number, text in enumerate(texts)]
    kept = list(known)
    bounds = _Bounds(known, kept, sign)
    for _ in range(4):
        slot, new = data.draw(st.integers(0, len(kept) - 1)), data.draw(st.sampled_from(known))
        bounds.change(slot, kept[slot], new)
        kept[slot] = new
    for text in known:
        assert all(bound >= sign * text.distance(other) for bound, other in zip(bounds.rows[text], kept, strict=True))


def test_what_it_remembers_goes_with_it() -> None:
    # The search for cycles is off while tasks run, so a cycle would stay until the run ends.
    paths = [("p", "one\n#### 1"), ("q", "two\n#### 1"), ("p", "three\n#### 1")]
    gc.collect()
    gc.disable()
    try:
        Farthest().choose(paths)
        assert gc.collect() == 0
    finally:
        gc.enable()


@given(candidates, candidates)
def test_what_it_remembers_does_not_change_the_next_choice(first: Candidates, second: Candidates) -> None:
    farthest = Farthest()
    farthest.choose(first)
    for sign in (NEAREST, FARTHEST):
        assert farthest.choose(second, sign) == Farthest().choose(second, sign)


@given(candidates)
def test_places_come_in_the_order_of_the_lists(paths: Candidates) -> None:
    first_seen = [name for name, _ in itertools.groupby(dict.fromkeys(name for name, _ in paths))]
    assert [paths[place][0] for place in Farthest().choose(paths)] == first_seen
