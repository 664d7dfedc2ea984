"""What makes no difference between two texts, and what does."""

import pytest

from rft_jax.contamination.words import MASK, normal, read, spans


def plain(text):
    return list(read(normal(text)).plain.words)


def unnumbered(text):
    return list(read(normal(text)).unnumbered.words)


def anonymous(text):
    return list(read(normal(text)).anonymous.words)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom has 1,000 eggs.", "tom HAS 1000 eggs"),
        ("Tom’s eggs; five-day week!", "Tom's eggs, five day\tweek"),
        ("ﬁve eggs for ½ the Ｐrice, １２ in all", "five eggs for 1⁄2 the price, 12 in all"),
        ("the 2nd egg", "The 2ND egg"),
        ("Straße", "STRASSE"),
        ("cafe\u0301", "café"),
    ],
)
def test_how_it_is_written_makes_no_difference(one, other):
    assert plain(one) == plain(other) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [("2 + 3", "2 - 3"), ("2 * 3", "2 / 3"), ("x < 2", "x > 2"), ("1.5", "15"), ("-3", "3"), ("x^2", "x 2")],
)
def test_formulas_differ_by_their_operators(one, other):
    assert plain(one) != plain(other)


def test_runs_of_numbers_and_names_are_one_mask():
    assert unnumbered("Ann Lee ate twenty five 2nd eggs") == ["ann", "lee", "ate", MASK, "eggs"]
    assert anonymous("Ann Lee ate twenty five 2nd eggs") == [MASK, "ate", MASK, "eggs"]
    assert anonymous("Łukasz and Þóra O'Neil went to Five Flags") == anonymous("Zoë and Bob went to Rome")
    assert anonymous("Two birds sing") == anonymous("12 birds sing")


def test_a_character_of_a_script_without_spaces_is_a_word():
    assert plain("小明有5个苹果") == ["小", "明", "有", "5", "个", "苹", "果"]


def test_places_lead_back_to_the_text():
    text = normal("Ann Lee ate\n1,200 eggs — twice.")
    words = read(text)
    assert [text[begin:end] for begin, end in spans(text)] == ["Ann", "Lee", "ate", "1,200", "eggs", "twice"]
    assert list(words.anonymous.starts) == [0, 2, 3, 4, 5, 6]
    assert list(words.plain.starts) == list(range(7))
