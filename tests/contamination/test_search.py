"""Test texts inside of longer ones, and texts made to break the search."""

import random
import time

import pytest

from rft_jax.contamination import words
from rft_jax.contamination.compare import _Batch, _search_batch
from rft_jax.contamination.index import SEED, Index
from rft_jax.contamination.near import near
from rft_jax.contamination.pairs import LISTED, Found, Kind, Pair
from rft_jax.contamination.search import NEAR, search
from rft_jax.contamination.sources import Document
from rft_jax.records.problem import read_problems
from tests.shared_data import shared

QUESTION = (
    "Ann buys 3 boxes of pens in the small shop at the corner, and each of the boxes holds 12 pens. Her brother takes "
    "5 of the pens to school. How many pens are left for Ann?"
)
FILLER = "Nothing of interest is told here, but it is told at some length. "


def kinds(test, text):
    return [(match.kind, match.test) for match in search(Index([test]), text)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"{FILLER * 50}Question: {QUESTION} Answer: 31. {FILLER * 50}", Kind.TEXT),
        (f"{FILLER}42. {QUESTION.lower()} 31 {FILLER}", Kind.NORMALISED),
        (FILLER + QUESTION.replace("12", "40").replace("5", "eight") + FILLER, Kind.NUMBERS),
        (f"Example 7 {QUESTION.replace('Ann', 'Kwame').replace('12', '9')}", Kind.NAMES),
        (FILLER + QUESTION.replace("small shop at the corner", "big shop") + FILLER, Kind.NEAR),
        (f"{FILLER}and each of the boxes holds 12 pens. Her brother takes 5 of her marbles. {FILLER}", Kind.WORDS),
    ],
)
def test_in_a_document(text, kind):
    (match,) = search(Index([QUESTION]), text)
    assert match.kind is kind
    assert 0 <= match.begin < match.end


def test_other_texts_are_not_found():
    assert kinds(QUESTION, FILLER * 100) == []
    assert kinds(QUESTION, "Ann buys 3 boxes of eggs. How many eggs are left for Ann?") == []


@pytest.mark.parametrize("odd", ["", "   ", "???", "🙂", "Why", "\ud800"])
def test_texts_of_few_words_are_compared_as_wholes(odd):
    index = Index([odd, QUESTION])
    expected = [(Kind.TEXT, 0)] if odd.strip() else []
    assert [(match.kind, match.test) for match in search(index, odd)] == expected
    assert search(index, f"{odd} {FILLER}") == []


def test_of_short_texts_no_masks_are_compared():
    assert kinds("What is 2 + 3?", "What is 4 + 5?") == []
    assert kinds("What is 2 + 3?", "what is 2+3") == [(Kind.NORMALISED, 0)]


@pytest.mark.parametrize("text", [FILLER * 16_000, "pens " * 200_000, QUESTION * 6_000, "x" * 1_000_000])
def test_a_megabyte_takes_seconds(text):
    index = Index([QUESTION, "pens " * 1_000 + "and ink", FILLER * 20])
    start = time.monotonic()
    search(index, text)
    assert time.monotonic() - start < 20


def test_what_is_there_many_times_is_listed_a_few_times():
    found = Found()
    for row in range(10_000):
        found.add(0, Pair(Kind.NEAR if row % 2 else Kind.TEXT, 1.0, row, "text"))
    assert [(pair.kind, pair.row) for pair in found.of(0)] == [(Kind.TEXT, 2 * row) for row in range(LISTED)]
    assert found.counts(0) == {Kind.TEXT: 5_000, Kind.NEAR: 5_000}


def test_of_a_rows_pairs_the_strongest_counts():
    found = Found()
    for row, kind in ((1, Kind.NEAR), (1, Kind.TEXT), (1, Kind.NUMBERS), (2, Kind.WORDS), (2, Kind.NEAR)):
        found.add(0, Pair(kind, 1.0, row, "text"))
    assert [(pair.kind, pair.row) for pair in found.of(0)] == [(Kind.TEXT, 1), (Kind.NEAR, 2)]
    assert +found.counts(0) == {Kind.TEXT: 1, Kind.NEAR: 1}


CHANGED = QUESTION.replace("small shop", "big shop").replace("to school", "to work")


@pytest.mark.parametrize("before", [0, 1, 2, 5])
@pytest.mark.parametrize(
    ("copy", "kind"),
    [
        (CHANGED, Kind.NEAR),
        (QUESTION.replace("12", "40"), Kind.NUMBERS),
        (f"{QUESTION.replace('12', '40')} {CHANGED} {QUESTION.lower()}", Kind.NORMALISED),
    ],
)
def test_beginnings_of_a_question_before_a_copy_hide_nothing(before, copy, kind):
    beginning = " ".join(QUESTION.split()[:11])
    (match,) = search(Index([QUESTION]), f"{beginning} " * before + copy)
    assert match.kind is kind
    assert match.similarity > 0.94


@pytest.mark.parametrize(
    "copy",
    [
        QUESTION.replace("and each", "and she thinks of this and that for a while, and each"),
        QUESTION.replace("and each of the boxes holds 12 pens. ", ""),
    ],
)
def test_what_is_inserted_or_left_out_counts_once(copy):
    """As near as it is when it stands alone."""
    index = Index([QUESTION])
    (whole,) = near(index, [copy], 1)
    (match,) = search(index, FILLER + copy + FILLER)
    assert match.similarity == pytest.approx(whole[0], abs=1e-6)


def test_many_matches_in_a_text_are_located_once():
    tests = tuple(f"{QUESTION.replace('pens', f'pens{chr(97 + n // 26)}{chr(97 + n % 26)}')}" for n in range(200))
    document = Document(7, "\n".join(tests))
    calls = 0
    real = words.spans

    def spans(text):
        nonlocal calls
        calls += 1
        return real(text)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(words, "spans", spans)
        _, pairs = _search_batch(_Batch(tests, [document, document._replace(lines=True)]))
    assert calls == 2
    assert [(test, pair.row) for test, pair in pairs] == [
        *((number, 7) for number in range(200)), *((number, 7 + number) for number in range(200)),
    ]  # fmt: skip
    assert all(tests[test] in pair.text for test, pair in pairs)


def test_runs_of_words_find_nearly_all_that_comparing_everything_does():
    """The search in documents is by runs of words; how much it misses is seen where everything is compared."""
    folder = shared("data/gsm8k")
    texts = [problem.question for problem in read_problems(folder / "test.jsonl")]
    rng = random.Random(0)
    changed = []
    for text in texts[:300]:
        words = text.split()
        for place in rng.sample(range(len(words)), len(words) // 12):
            words[place] = "marmalade"
        changed.append(" ".join(words))
    index = Index(texts)
    by_all = {(row, test) for row, tests in enumerate(near(index, changed, 2)) for test in tests}
    by_runs = {
        (row, match.test)
        for row, text in enumerate(changed)
        for match in search(index, text)
        if match.kind.rank <= Kind.NEAR.rank and match.similarity >= NEAR
    }
    assert len(by_all) > 290
    assert len(by_runs & by_all) >= 0.95 * len(by_all)


def test_memory_is_that_of_the_test_texts():
    index = Index([QUESTION])
    before = {name: len(value) for name, value in vars(index).items()}
    for number in range(100):
        search(index, f"{FILLER} word{number} " * 20)
    assert {name: len(value) for name, value in vars(index).items()} == before
    assert len(index.texts[0].unnumbered.text) > SEED
