"""Stop texts are found while sampling where the path's cut is made afterwards, whenever one looks."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from rft_jax.data.encode import Encoder
from rft_jax.sample import shards
from rft_jax.sample.job import Response
from rft_jax.sample.stop_texts import StopTexts
from rft_jax.task.templates.paper import Paper
from tests import tokenizers

STOPS = ("\n\nQuestion:", "\n\n", "≤5", "five", "e six", "🙂")
TEXTS = [
    "The answer: 12 + 3 = 15.\n\nQuestion: why?",
    "1 ≤ 5 but 4≤5 and\n≤ 5 🙂🙂\n\n",
    "four five six, seve six\n\n\n\n",
    "no stop\nat all, 12 % and é £ 🙁 only",
    "\n\n≤≤≤",
    "a 🙂",
]
REAL = ("llama2", "llama2-legacy", "llama3", "smollm2")


@dataclass(frozen=True)
class Stopped(Paper):
    """The paper's template with stop texts."""

    texts: tuple[str, ...] = STOPS

    @property
    def stops(self) -> tuple[str, ...]:
        return self.texts


@pytest.fixture(scope="module", params=("embedded", *REAL))
def encoder(request, tmp_path_factory) -> Encoder:
    return encoder_of(request.param, tmp_path_factory.mktemp("tokenizer"))


def encoder_of(name: str, scratch, stops: tuple[str, ...] = STOPS) -> Encoder:
    tokenizer = tokenizers.load(name, scratch).tokenizer
    return Encoder(tokenizer, Stopped(texts=stops), bos_tokens=(), eos_token=2, vocabulary=len(tokenizer))


def samples(encoder: Encoder, count: int) -> list[list[int]]:
    """Returns tokens of texts, in whole and in parts, with single bytes and special tokens strewn in."""
    rng = np.random.default_rng(0)
    encode = encoder.tokenizer.encode
    # Pieces tokenised one by one split texts where a tokenizer would not.
    special = encoder.tokenizer.all_special_ids
    odd = [token for token in range(300) if token not in special]
    made = [encode(text, add_special_tokens=False) for text in TEXTS]
    while len(made) < count:
        text = rng.choice(TEXTS)
        cuts = np.sort(rng.integers(0, len(text) + 1, rng.integers(0, 6)))
        tokens: list[int] = []
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            tokens += encode(text[start:end], add_special_tokens=False)
        if rng.random() < 0.5:
            for _ in range(rng.integers(1, 5)):
                place = int(rng.integers(0, len(tokens) + 1))
                tokens[place:place] = [int(rng.choice(special if rng.random() < 0.3 else odd))]
        made.append(tokens)
    return made


def first_stop(tokens: list[int], encoder: Encoder) -> int:
    """Returns how many tokens say a stop text, by looking after each; 0 if none do."""
    texts = encoder.texts([tokens[:count] for count in range(1, len(tokens) + 1)])
    return next((n for n, text in enumerate(texts, 1) if any(stop in text for stop in encoder.template.stops)), 0)


@pytest.mark.parametrize("call", [1, 3, 16])
def test_finds_a_stop_text_at_the_first_look(encoder, call):
    stop_texts = StopTexts(encoder, encoder.template.stops)
    live = {number: tokens for number, tokens in enumerate(samples(encoder, 150)) if tokens}
    expected = {number: first_stop(tokens, encoder) for number, tokens in live.items()}
    assert 30 < sum(count > 0 for count in expected.values()) < len(live) - 10
    length = 0
    while live:
        length += call
        so_far = [np.array(tokens[:length], np.int32) for tokens in live.values()]
        new = [len(tokens) - min(len(tokens), length - call) for tokens in so_far]
        kept = stop_texts.found(so_far, new)
        for (number, tokens), tokens_now, count in zip(list(live.items()), so_far, kept, strict=True):
            first = expected[number]
            if count:
                assert 0 < first <= count <= len(tokens_now)
                path = shards.path_of(Response(0, 0, tokens_now[:count], False), encoder, "m")
                assert (path.finish, path.tokens) == ("stop", first)
                del live[number]
            else:
                assert not 0 < first <= length
                if len(tokens) <= length:
                    del live[number]


@pytest.mark.parametrize("beyond", ["", " and more", "\n\nQuestion: 🙂 five", "≤"])
def test_a_path_is_the_same_whatever_was_sampled_beyond_its_stop(encoder, beyond):
    more = encoder.tokenizer.encode(beyond, add_special_tokens=False)
    for tokens in samples(encoder, 60):
        if not (first := first_stop(tokens, encoder)):
            continue
        alone = shards.path_of(Response(0, 0, np.array(tokens[:first]), False), encoder, "m")
        with_more = shards.path_of(Response(0, 0, np.array([*tokens[:first], *more]), False), encoder, "m")
        assert alone == with_more
        assert not any(stop in alone.response for stop in STOPS)


@pytest.mark.parametrize("name", REAL)
def test_looks_at_4096_rows_in_time(name, tmp_path):
    encoder = encoder_of(name, tmp_path, ("\n\nQuestion:",))
    text = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = 72 clips.\n#### 72"
    tokens = np.array(encoder.tokenizer.encode(text, add_special_tokens=False), np.int32)
    rows = [np.concatenate([tokens] * 4)[: 16 + row % 100] for row in range(4096)]
    new = [16] * len(rows)
    stop_texts = StopTexts(encoder, encoder.template.stops)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert not stop_texts.found(rows, new).any()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3  # a tenth of it on an idle machine


def test_without_stop_texts_nothing_is_found(tmp_path):
    encoder = encoder_of("embedded", tmp_path, ())
    assert StopTexts(encoder, ()).found([np.array([5, 6])], [2]).tolist() == [0]


def test_log_probabilities_are_cut_like_the_tokens(encoder):
    tokens = np.array(encoder.tokenizer.encode("one five and more", add_special_tokens=False))
    values = -np.arange(2 * len(tokens), dtype=np.float32).reshape(-1, 2)
    path = shards.path_of(Response(0, 0, tokens, False, values), encoder, "m")
    assert path.finish == "stop"
    assert 0 < path.tokens < len(tokens)
    assert path.logprobs.sampled == tuple(values[: path.tokens, 0])
    assert path.logprobs.at_1 == tuple(values[: path.tokens, 1])
    assert shards.path_of(Response(0, 0, tokens, False), encoder, "m").logprobs is None
