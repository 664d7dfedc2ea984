"""Finds the texts that end a response while it is sampled, on the host, for many samples at once."""

from collections.abc import Sequence

import numpy as np

from rft_jax.data.encode import Encoder

BROKEN = "\N{REPLACEMENT CHARACTER}"  # what bytes that are no whole character are decoded to


class StopTexts:
    """Finds stop texts, without decoding what cannot end one.

    A sample is decoded only if one of its new tokens has the last character of a stop text: first its last tokens, and
    if they hold a stop text, the whole of it.
    """

    def __init__(self, encoder: Encoder, stops: Sequence[str]) -> None:
        """Takes the texts to find, and what says what tokens say."""
        self._encoder, self._stops = encoder, tuple(stops)
        # A token is at least one byte, but for special ones, which say nothing.
        self._before = max((len(stop.encode()) for stop in stops), default=1) - 1
        self._silent = np.array(
            [number for number, token in encoder.tokenizer.added_tokens_decoder.items() if token.special], np.int64
        )
        # An unfinished character may be finished by any of its bytes.
        last = {stop[-1] for stop in self._stops} | {BROKEN}
        said = encoder.texts([[token] for token in range(encoder.vocabulary)]) if stops else []
        self._may_end = np.array([not last.isdisjoint(text) for text in said], bool)

    def found(self, samples: Sequence[np.ndarray], new: Sequence[int]) -> np.ndarray:
        """Returns for each sample 0, or how many of its tokens to keep, as a stop text ends within them: int [samples].

        More may be kept than the stop text needs; `shards.path_of` cuts them off. What is found does not depend on when
        one looks.

        Args:
            samples: each int [tokens], the sample so far, without an eos token.
            new: how many of its last tokens are new since the last look; no stop text ends before them.
        """
        kept = np.zeros(len(samples), np.int64)
        if not self._stops:
            return kept
        ends = (self._end(tokens, count) for tokens, count in zip(samples, new, strict=True))
        parts = {row: part for row, part in enumerate(ends) if part}
        texts = dict(zip(parts, self._encoder.texts(list(parts.values())), strict=True))
        broken = [row for row in parts if BROKEN in texts[row]]
        likely = [row for row in parts if BROKEN not in texts[row] and self._in(texts[row])]
        for row, text in zip(likely, self._encoder.texts([samples[row].tolist() for row in likely]), strict=True):
            if self._in(text):
                kept[row] = len(samples[row])
        for row in broken:
            kept[row] = self._first(samples[row].tolist(), new[row])
        return kept

    def _in(self, text: str) -> bool:
        return any(stop in text for stop in self._stops)

    def _end(self, tokens: np.ndarray, new: int) -> list[int]:
        """Returns the tokens that hold any stop text that ends in the new ones, none if there can be no such text."""
        places = np.flatnonzero(self._may_end[tokens[len(tokens) - new :]])
        if not len(places):
            return []
        first, last = len(tokens) - new + int(places[0]), len(tokens) - new + int(places[-1])
        before = tokens[max(0, first - self._before) : first]
        if np.isin(before, self._silent).any():
            before = tokens[:first]
        return [*before.tolist(), *tokens[first : last + 1].tolist()]

    def _first(self, tokens: list[int], new: int) -> int:
        """Returns how many tokens there are where a stop text ends first, 0 if there is none.

        Some decoders break a whole run of bytes for one that is no character, with the line ends in it. So a stop text
        may be there after one token and no longer after the next.
        """
        counts = range(len(tokens) - new + 1, len(tokens) + 1)
        texts = self._encoder.texts([tokens[:count] for count in counts])
        return next((count for count, text in zip(counts, texts, strict=True) if self._in(text)), 0)
