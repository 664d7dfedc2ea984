"""Copies of test problems, verbatim and changed, planted among the training problems: all are found."""

import json
import random
from collections import Counter

import pytest

from rft_jax.contamination import compare as comparing
from rft_jax.contamination import near, pairs
from rft_jax.contamination.index import Index
from rft_jax.contamination.pairs import Kind
from rft_jax.contamination.search import NEAR
from rft_jax.records.problem import Problem, read_problems, write_problems
from rft_jax.world import generate
from tests.contamination.plants import PLANTS, names_in, sentence_added
from tests.shared_data import shared


def planted(tmp_path, monkeypatch, tested, trained, count):
    """Compares with plants of each kind of `count` problems; returns the pairs of each plant, and the others."""
    monkeypatch.setattr(pairs, "LISTED", 100)
    rng = random.Random(0)
    chosen = rng.sample([number for number, each in enumerate(tested) if names_in(each.question)], count)
    texts = [(None, None, problem.question) for problem in trained]
    texts += [(number, plant, plant(tested[number].question, rng)) for number in chosen for plant in PLANTS]
    rng.shuffle(texts)
    write_problems(tmp_path / "test.jsonl", tested)
    write_problems(tmp_path / "train.jsonl", [Problem(text, "#### 1") for _, _, text in texts])
    result = comparing.compare(
        str(tmp_path / "test.jsonl"), str(tmp_path / "train.jsonl"), (), tmp_path / "out", task="gsm8k", workers=2
    )
    found = {plant: {} for plant in PLANTS}
    others = []
    for line in (tmp_path / "out" / "pairs.jsonl").read_text().splitlines():
        pair = json.loads(line)
        number, plant, text = texts[pair["row"] - 1]
        assert pair["text"] == text
        if number == pair["test"]:
            found[plant][number] = Kind(pair["kind"])
        else:
            others.append((pair["test"], number, Kind(pair["kind"])))
    return chosen, found, others, result


def assert_all_found(chosen, found, missed=0):
    """Every plant is found, as what it is; of those with a sentence added at most `missed` are not."""
    for plant, weakest in PLANTS.items():
        lost = [number for number in chosen if number not in found[plant]]
        assert len(lost) <= (missed if plant is sentence_added else 0), f"{plant.__name__}: {lost} are missed"
        weak = [number for number, kind in found[plant].items() if kind.rank > weakest.rank]
        assert weak == [], f"{plant.__name__}: {weak} are taken for something weaker"


def test_among_generated_problems(tmp_path, monkeypatch):
    tested, trained = generate.problems("test", 150, 0), generate.problems("train", 100, 0)
    chosen, found, _, result = planted(tmp_path, monkeypatch, tested, trained, 50)
    assert_all_found(chosen, found, missed=50)  # their 25 words are too few for 13 more in their middle
    assert result["train"]["found"]["same_text"]["test_problems"] >= 50


@pytest.mark.slow
def test_among_gsm8ks_own(tmp_path, monkeypatch):
    folder = shared("data/gsm8k")
    tested, trained = (read_problems(folder / f"{name}.jsonl") for name in ("test", "train"))
    chosen, found, others, _ = planted(tmp_path, monkeypatch, tested, trained, 200)
    for plant in PLANTS:
        print(f"{plant.__name__}: {dict(Counter(map(str, found[plant].values())))}")
    assert_all_found(chosen, found, missed=3)  # short questions, and a sentence in their middle
    # Only what GSM8K's splits have in common by themselves (BUILD.md): no plant is taken for another test problem.
    assert Counter(kind for *_, kind in others) == {Kind.NAMES: 1, Kind.NEAR: 3, Kind.WORDS: 1}
    assert {(number, plant) for number, plant, _ in others} == {(number, None) for number in (581, 602, 632, 824)}


@pytest.mark.slow
def test_the_threshold_of_near_copies_lies_in_a_gap(monkeypatch):
    folder = shared("data/gsm8k")
    tested, trained = (
        [each.question for each in read_problems(folder / f"{name}.jsonl")] for name in ("test", "train")
    )
    monkeypatch.setattr(near, "NEAR", 0.65)
    every = (
        (similarity, test, row)
        for row, found in enumerate(near.near(Index(tested), trained, 2))
        for test, similarity in found.items()
    )
    order = sorted(every, reverse=True)
    print("\n".join(f"{similarity:.2f} {test} {row}" for similarity, test, row in order))
    assert [similarity for similarity, *_ in order if abs(similarity - NEAR) < 0.02] == []
    assert sum(similarity >= NEAR for similarity, *_ in order) == 4
