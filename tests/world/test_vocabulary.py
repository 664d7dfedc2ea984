"""The world's tokenizer."""

import pytest

from rft_jax.data import tokenizer
from rft_jax.task.templates.paper import instruction
from rft_jax.world.generate import corpus, problems
from rft_jax.world.vocabulary import write_tokenizer


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Returns a tokenizer made from a small corpus."""
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [text for row in corpus(1000, 0, drills=0.5) for text in (row.question, row.response)]
    assert write_tokenizer(folder, texts, vocabulary=1024, positions=256) <= 1024
    return tokenizer.load(folder)


def test_texts_survive(loaded):
    for text in [
        *(instruction(each.question) + each.response for each in problems("test", 24, 0)),
        "Łódź costs $1,000.50 – «or» 10 %\n\n\t#### −5",
    ]:
        ids = loaded(text, add_special_tokens=False)["input_ids"]
        assert loaded.decode(ids, skip_special_tokens=True) == text


def test_a_digit_is_a_token_and_the_template_two(loaded):
    question = "Is 7*89 >= 1234?"
    tokens = loaded.tokenize(instruction(question))
    assert [token for token in tokens if any(map(str.isdigit, token))] == list("7891234")
    assert len(tokens) == len(loaded.tokenize(question)) + 2
    assert loaded(question)["input_ids"][0] == loaded.bos_token_id


def test_a_word_of_the_world_is_one_token(loaded):
    words = loaded.tokenize(problems("train", 1, 0)[0].question)
    assert len(words) < 60


def test_the_same_texts_make_the_same_tokenizer(tmp_path):
    texts = [row.question for row in corpus(200, 0, drills=0.5)]
    for name in ("a", "b"):
        write_tokenizer(tmp_path / name, texts, vocabulary=600, positions=256)
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (tmp_path / "b" / "tokenizer.json").read_bytes()
