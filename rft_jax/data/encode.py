"""The one place where text becomes tokens: the prompt that is sampled from, and the example that is trained on.

Training, sampling, evaluation and export call the same `Encoder`. It holds three properties for every example:
- what precedes the loss is, token for token, the prompt that is sampled from;
- the loss covers the whole response and the eos token, and nothing else;
- the tokens under the loss, decoded in their place behind the prompt, are the response.
So the response is tokenised from the border on, also where the tokenizer would merge across it. A row for which a
property cannot hold (a tokenizer that loses characters, half a character) is refused by name.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rft_jax.errors import UserError
from rft_jax.records.lines import has_lone_surrogate
from rft_jax.records.problem import Problem
from rft_jax.task.template import Piece, Template, special_texts, text_of

# What may stand before a response while it is tokenised, and is taken off: SentencePiece puts a space before a text's
# first word, which the first word of a response is not.
_LEADS = ("", "\n", "x:", ":\n")
_PROBES = ("The", " The", "5", ".5", "\n5", "$5", "(")


@dataclasses.dataclass(frozen=True)
class Example:
    """A prompt and its response, as tokens.

    Attributes:
        tokens: int32 [tokens]: bos tokens, prompt, response, eos token.
        loss_from: how many tokens the prompt has; the loss is on those that follow.
        merged: whether those before the loss are other tokens than the prompt's; only joint ones ever are.
    """

    tokens: np.ndarray
    loss_from: int
    merged: bool = False


class Encoder:
    """Makes tokens with one tokenizer, template, and its bos and eos tokens.

    Attributes:
        tokenizer: a transformers tokenizer.
        template: what is asked.
        bos_tokens: ids of the tokens before every prompt.
        eos_token: id of the token after every response that is trained on.
        vocabulary: how many tokens the model knows.
    """

    def __init__(
        self, tokenizer: Any, template: Template, *, bos_tokens: tuple[int, ...], eos_token: int, vocabulary: int
    ) -> None:
        """Takes the tokens that the attributes tell of.

        Raises:
            UserError: a bos or eos token is beyond the vocabulary.
        """
        self.tokenizer, self.template = tokenizer, template
        self.bos_tokens, self.eos_token, self.vocabulary = bos_tokens, eos_token, vocabulary
        for name, token in (*(("bos", token) for token in bos_tokens), ("eos", eos_token)):
            if not 0 <= token < vocabulary:
                raise UserError(f"the {name} token {token} is no token of the model, which has {vocabulary}, from 0")
        self._anchor = self._plain(["x:"])[0]
        self._anchor_text = self._decode([self._anchor])[0]

    @functools.cached_property
    def _leads(self) -> list[str]:
        """The leads behind which this tokenizer writes what it is given; a row that none suits is refused later."""
        return [lead for lead in _LEADS if not self._continued(lead, _PROBES)[1]] or [""]

    def prompts(self, problems: Sequence[Problem], source: str, rows: Sequence[int] | None = None) -> list[np.ndarray]:
        """Returns the prompt of each problem, bos tokens included, each int32 [tokens].

        Args:
            problems: to ask.
            source: the file, for messages.
            rows: the line of each problem in it, from 1; None: they are its lines.

        Raises:
            UserError: a prompt that this template or tokenizer cannot write; it names file and line.
        """
        place = _Places(source, rows)
        # Selected sets ask each question many times.
        numbers: dict[Problem, int] = {}
        which = []
        asked = []  # the row that asks first, for messages
        for row, problem in enumerate(problems):
            key = dataclasses.replace(problem, response="")
            if key not in numbers:
                asked.append(row)
            which.append(numbers.setdefault(key, len(numbers)))
        pieces = []
        for row, problem in zip(asked, numbers, strict=True):
            try:
                pieces.append(self.template.prompt(problem, self.tokenizer))
            except UserError as error:
                raise UserError(f"{place(row)}: {error}") from None
            _refuse_half_characters(text_of(pieces[-1]), "the question", place(row))
        made = [np.array([*self.bos_tokens, *ids], np.int32) for ids in self._encode(pieces)]
        for row, ids in zip(asked, made, strict=True):
            if not len(ids):
                raise UserError(f"{place(row)}: the prompt has no tokens")
            self._check_vocabulary(int(ids.max()), place(row))
        return [made[number] for number in which]

    def examples(
        self, problems: Sequence[Problem], source: str, rows: Sequence[int] | None = None, *, joint: bool = False
    ) -> list[Example]:
        """Returns the example of each problem.

        Args:
            problems, source, rows: as for `prompts`.
            joint: tokenise prompt and response jointly, as the reference does (configs/paper/TRAPS.md, trap 1): where
                the tokenizer merges across the border, what precedes the loss is then not what is sampled from.

        Raises:
            UserError: a row is empty, or one of the three properties cannot hold for it; it names file and line.
        """
        place = _Places(source, rows)
        stops = self.template.stops
        for row, problem in enumerate(problems):
            if not problem.response.strip():
                raise UserError(f"{place(row)}: the response is empty: remove the row")
            _refuse_half_characters(problem.response, "the response", place(row))
            if stop := next((stop for stop in stops if stop in problem.response), None):
                raise UserError(
                    f"{place(row)}: the response goes on at {stop!r}, where a sampled one is stopped: cut it there, or "
                    "take another template"
                )
        prompts = self.prompts(problems, source, rows)
        responses = [problem.response for problem in problems]
        bodies = self._joint(problems) if joint else self._responses(responses, place)
        made = []
        for row, (prompt, body) in enumerate(zip(prompts, bodies, strict=True)):
            if joint:
                tokens = np.array([*self.bos_tokens, *body, self.eos_token], np.int32)
            else:
                tokens = np.concatenate([prompt, np.array([*body, self.eos_token], np.int32)])
            self._check_vocabulary(int(tokens.max()), place(row))
            merged = joint and not np.array_equal(tokens[: len(prompt)], prompt)
            made.append(Example(tokens, len(prompt), merged))
        return made

    def texts(self, responses: Sequence[Sequence[int]]) -> list[str]:
        """Returns what sampled tokens say in their place behind a prompt; special tokens say nothing."""
        whole = self._decode([[*self._anchor, *ids] for ids in responses], skip_special_tokens=True)
        return [text[len(self._anchor_text) :] for text in whole]

    def text_of_token(self, token: int) -> str:
        """Returns what a token says behind others; a special one its name, a part of a character U+FFFD."""
        return self._decode([[*self._anchor, token]])[0][len(self._anchor_text) :]

    def response_lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Returns about how many tokens responses have, eos token included: int64 [texts]."""
        return np.array([len(ids) + 1 for ids in self._plain(texts)], np.int64)

    def _responses(self, texts: Sequence[str], place: "_Places") -> list[list[int]]:
        """Returns the tokens of responses behind a prompt, and makes sure that they are the responses."""
        made, wrong = self._continued(self._leads[0], texts)
        for lead in self._leads[1:]:
            if not wrong:
                break
            again, still = self._continued(lead, [texts[row] for row in wrong])
            for row, ids in zip(wrong, again, strict=True):
                made[row] = ids
            wrong = [wrong[number] for number in still]
        if wrong:
            row = wrong[0]
            back = self._decode([[*self._anchor, *made[row]]])[0][len(self._anchor_text) :]
            raise UserError(
                f"{place(row)}: the tokenizer cannot write this response: {difference(texts[row], back)}; remove the "
                "row, or take those characters out"
            )
        return made

    def _continued(self, lead: str, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Returns the tokens of texts behind a lead, without it, and the places of those that are not the texts."""
        before = self._plain([lead])[0] if lead else []
        whole = self._plain([lead + text for text in texts])
        made = [ids[len(before) :] for ids in whole]
        # A lead is itself a text to stand behind; where there is none, another one is put before.
        back = self._decode(whole if lead else [self._anchor + ids for ids in whole])
        stands_behind = self._decode([before])[0] if lead else self._anchor_text
        wrong = [
            number
            for number, (ids, text, decoded) in enumerate(zip(whole, texts, back, strict=True))
            if ids[: len(before)] != before or decoded != stands_behind + text
        ]
        return made, wrong

    def _joint(self, problems: Sequence[Problem]) -> list[list[int]]:
        texts = []
        for problem in problems:
            pieces = self.template.prompt(problem, self.tokenizer)
            if any(piece.control for piece in pieces):
                raise UserError(
                    "tokens=joint is the reference's way with its own template; this template has control tokens"
                )
            texts.append(text_of(pieces) + problem.response)
        return self._plain(texts)

    def _encode(self, prompts: Sequence[Sequence[Piece]]) -> list[list[int]]:
        """Returns the tokens of prompts; special tokens count as such where the template wrote them."""
        made: list[list[int]] = [[] for _ in prompts]
        for control in (True, False):
            alone = [
                number for number, pieces in enumerate(prompts) if {piece.control for piece in pieces} == {control}
            ]
            encoded = self._tokens([text_of(prompts[number]) for number in alone], control=control)
            for number, ids in zip(alone, encoded, strict=True):
                made[number] = ids
        for number, pieces in enumerate(prompts):
            if len({piece.control for piece in pieces}) == 2:  # a question with a special token written in it
                made[number] = self._encode_apart(pieces)
        return made

    def _encode_apart(self, pieces: Sequence[Piece]) -> list[int]:
        """Returns the tokens of a prompt whose question has a special token written in it, which stays text.

        The text between two of the template's own special tokens is tokenised as a whole, as it would be without.
        """
        made: list[int] = []
        texts = [""]  # since the last special token
        for piece in pieces:
            first, *others = self._special.split(piece.text) if piece.control else [piece.text]
            texts[-1] += first
            texts += others
        for place, text in enumerate(texts):
            if place % 2:
                made.append(int(self.tokenizer.convert_tokens_to_ids(text)))
            elif text:
                made += self._continuation(text) if place and not self._begins_anew else self._plain([text])[0]
        return made

    @functools.cached_property
    def _special(self) -> re.Pattern[str]:
        longest_first = sorted(special_texts(self.tokenizer), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @functools.cached_property
    def _begins_anew(self) -> bool:
        """Whether the tokenizer treats the text behind a special token as the beginning of a text."""
        special = special_texts(self.tokenizer)[0]
        return self._tokens([f"{special}x"], control=True)[0][1:] == self._plain(["x"])[0]

    def _continuation(self, text: str) -> list[int]:
        """Returns the tokens of a part of a question; unlike a response, it need not come back letter for letter."""
        for lead in self._leads:
            before = self._plain([lead])[0] if lead else []
            (whole,) = self._plain([lead + text])
            if whole[: len(before)] == before:
                return whole[len(before) :]
        raise UserError(f"the tokenizer cannot write {text[:40]!r}")

    def _plain(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokens(texts, control=False)

    def _tokens(self, texts: Sequence[str], *, control: bool) -> list[list[int]]:
        return tokens(self.tokenizer, texts, control=control)

    def _decode(self, rows: Iterable[Sequence[int]], skip_special_tokens: bool = False) -> list[str]:
        return decoded(self.tokenizer, rows, skip_special_tokens=skip_special_tokens)

    def _check_vocabulary(self, largest: int, place: str) -> None:
        if largest >= self.vocabulary:
            raise UserError(
                f"{place}: the tokenizer makes the token {largest}, the model's last one is {self.vocabulary - 1}: "
                "tokenizer and model do not belong together"
            )


def tokens(tokenizer: Any, texts: Sequence[str], *, control: bool) -> list[list[int]]:
    """Returns the tokens of texts, none added; special tokens written in them count as such (control) or stay text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = not control
        return [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    if not texts:
        return []
    options = {"add_special_tokens": False, "split_special_tokens": not control, "verbose": False}
    return [list(ids) for ids in tokenizer(list(texts), **options)["input_ids"]]


def decoded(tokenizer: Any, rows: Iterable[Sequence[int]], *, skip_special_tokens: bool = False) -> list[str]:
    """Returns what tokens say, without transformers' clean-up, which turns `#### .5` into `####.5` for some."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return list(backend.decode_batch(list(rows), skip_special_tokens=skip_special_tokens))
    options = {"skip_special_tokens": skip_special_tokens, "clean_up_tokenization_spaces": False}
    return [tokenizer.decode(list(row), **options) for row in rows]


def difference(text: str, back: str) -> str:
    """Returns where a text and what its tokens say begin to differ, to be told."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(text, back, strict=False))
    at = max(0, sum(1 for _ in same) - 10)
    return f"{text[at : at + 20]!r} comes back as {back[at : at + 20]!r}"


@dataclasses.dataclass(frozen=True)
class _Places:
    """Where a row stands: FILE:LINE."""

    source: str
    rows: Sequence[int] | None

    def __call__(self, row: int) -> str:
        return f"{self.source}:{row + 1 if self.rows is None else self.rows[row]}"


def _refuse_half_characters(text: str, what: str, place: str) -> None:
    if has_lone_surrogate(text):
        raise UserError(f"{place}: {what} has half a character (a lone surrogate), which no tokenizer reads")
