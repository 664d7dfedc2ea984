"""Names with any characters survive lists and patterns."""

import glob
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.names import join_list, matches, split_list


@given(st.lists(st.text(alphabet='ab,"\\ \n\t*[]?=é', max_size=8), max_size=4))
def test_a_list_taken_apart_is_the_names_that_were_joined(names):
    assert split_list(join_list(names)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("a", ["a"]),
        ("a, b ,c", ["a", "b", "c"]),
        ('"a,b"/x,c', ["a,b/x", "c"]),
        (r"a\,b,c", ["a,b", "c"]),
        (r"C:\data\x,y", [r"C:\data\x", "y"]),
        ('" a ",b', [" a ", "b"]),
        ("a b,c", ["a b", "c"]),
        ("a,", ["a", ""]),
        (r"\"a\"", ['"a"']),
        ('name="x,y"', ["name=x,y"]),
    ],
)
def test_what_a_list_means(text, names):
    assert split_list(text) == names


def test_an_unclosed_quote_is_an_error():
    with pytest.raises(ValueError, match="unclosed double quote"):
        split_list('a,"b')


ODD = ("run[1]", "run1", "a*b", "axb", "what?", "lr=1e-5,seed=0", "[!x]", "{a,b}", "**", "plain")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Makes folders with odd names, each with two files, and goes there."""
    for name, number in itertools.product(ODD, (0, 1)):
        file = tmp_path / name / "paths" / f"{number}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_folder_that_exists_is_meant_by_its_name(folders, name, absolute):
    place = f"{folders}/{name}" if absolute else name
    expected = [f"{place}/paths/{number}.jsonl" for number in (0, 1)]
    assert sorted(matches(f"{place}/paths/*.jsonl")) == expected
    assert sorted(matches(f"{glob.escape(place)}/paths/*.jsonl")) == expected
    assert matches(f"{place}/paths/0.jsonl") == expected[:1]
    assert matches(place) == [place]


def test_an_escaped_name_means_no_other_where_it_does_not_exist(folders):
    (folders / "run[1]").rename(folders / "gone")
    assert matches(f"{glob.escape('run[1]')}/paths/*.jsonl") == []
    assert sorted(matches("run[1]/paths/*.jsonl")) == ["run1/paths/0.jsonl", "run1/paths/1.jsonl"]


def test_patterns_are_patterns(folders):
    assert sorted(matches("run*/paths/0.jsonl")) == ["run1/paths/0.jsonl", "run[1]/paths/0.jsonl"]
    assert sorted(matches(f"{folders}/pla*/**/*.jsonl")) == [
        f"{folders}/plain/paths/0.jsonl", f"{folders}/plain/paths/1.jsonl",
    ]  # fmt: skip
    assert matches("nowhere/*") == []
    assert matches("nowhere") == []


def test_a_name_with_brackets_behind_a_pattern_is_that_name(folders):
    assert sorted(matches(f"{folders}*/run[1]/paths/0.jsonl")) == [f"{folders}/run[1]/paths/0.jsonl"]
