"""The tokenizers that others are tested with are what they are said to be."""

import pytest

from tests import tokenizers
from tests.odd_texts import PIECES, fixed_odd_texts
from tests.rebuilt_tokenizers import WRITERS

# What stands around "x" when a tokenizer is asked for it.
AROUND = {
    "embedded": "<s> {}",
    "qwen-like": "{}",
    "begin-known": "{}",
    "both-added": "<s> {} </s>",
    "end-added": "{} </s>",
    "prefix-space": "<s> {}",
    "cuts-and-pads": "<s> {}",
    "llama2-like": "<s> {}",
    "llama2-like-legacy": "<s> {}",
    "llama2-like-end-added": "<s> {} </s>",
    "wordpiece": "[CLS] {} [SEP]",
    "llama2": "<s> {}",
    "llama2-legacy": "<s> {}",
    "llama2-end-added": "<s> {} </s>",
    "llama3": "<|begin_of_text|> {}",
    "smollm2": "{}",
}


def _plain(tokenizer, texts):
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def test_each_adds_the_tokens_that_it_is_said_to_add(sample_tokenizer):
    tokenizer = sample_tokenizer.tokenizer
    (plain,) = _plain(tokenizer, ["x"])
    around = AROUND[sample_tokenizer.name].split()
    cut = around.index("{}")
    before, after = (tokenizer.convert_tokens_to_ids(part) for part in (around[:cut], around[cut + 1 :]))
    assert tokenizer("x")["input_ids"] == [*before, *plain, *after]


def test_each_knows_the_special_tokens_of_its_kind(sample_tokenizer):
    tokenizer = sample_tokenizer.tokenizer
    assert tokenizer.eos_token_id is not None
    assert (tokenizer.bos_token_id is None) == (sample_tokenizer.name in ("qwen-like", "end-added"))
    begins = tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
    assert not (begins and sample_tokenizer.name in ("begin-known", "smollm2"))


def test_a_text_comes_back_just_where_it_is_said_to(sample_tokenizer):
    tokenizer = sample_tokenizer.tokenizer
    texts = fixed_odd_texts()
    decoded = tokenizer.backend_tokenizer.decode_batch(
        _plain(tokenizer, [f"x:{text}" for text in texts]), skip_special_tokens=False
    )
    space = " " if sample_tokenizer.name == "prefix-space" else ""
    wrong = [
        text
        for text, back in zip(texts, decoded, strict=True)
        if (back == f"{space}x:{text}") != sample_tokenizer.keeps(text)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["llama2", "llama2-legacy"])
def test_llama_2_is_read_as_sentencepiece_reads_it(name, tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    sample = tokenizers.load(name, tmp_path)
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(sample.folder / "tokenizer.model"))
    # Before a space, or its mark, transformers puts no second one, which sentencepiece does.
    texts = [text for text in fixed_odd_texts() if not text.startswith((" ", "▁"))]
    assert len(texts) > 1500
    assert _plain(sample.tokenizer, texts) == oracle.encode(texts)


def test_the_rebuilt_ones_are_the_same_each_time(tmp_path):
    for name, write in WRITERS.items():
        write(tmp_path / "once" / name)
        write(tmp_path / "again" / name)
        once, again = (tmp_path / time / name / "tokenizer.json" for time in ("once", "again"))
        assert once.read_bytes() == again.read_bytes(), name


def test_one_cuts_and_pads_unless_it_is_told_not_to(tmp_path):
    sample = tokenizers.load("cuts-and-pads", tmp_path)
    assert len(sample.tokenizer.backend_tokenizer.encode("x").ids) == 8
    assert len(sample.tokenizer.backend_tokenizer.encode("1" * 20).ids) == 8
    assert len(sample.tokenizer("1" * 20)["input_ids"]) == 21


def test_fixed_odd_texts_are_as_many_as_asked_for_and_hold_every_piece():
    texts = fixed_odd_texts()
    assert len(texts) == 2000
    assert set(PIECES) <= set(texts)
    assert max(map(len, texts)) >= 20_000
