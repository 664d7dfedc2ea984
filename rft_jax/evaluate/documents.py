"""Documents whose loss is measured: texts, or fields of rows, as tokens, and the windows that a model sees of them."""

import dataclasses
import hashlib
import itertools
import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tqdm

from rft_jax.data import encode, special_tokens
from rft_jax.data.encode import Encoder
from rft_jax.errors import UserError
from rft_jax.records.lines import has_lone_surrogate, names_of, shown
from rft_jax.records.plain import has_rows, pieces
from rft_jax.records.problem import read_problems
from rft_jax.records.rows import read_rows
from rft_jax.task.reader import Reader

_AT_ONCE = 256  # texts that are tokenised together


class Text(NamedTuple):
    """A text to measure.

    Attributes:
        place: where it stands, for messages.
        text: as it is there, without a byte order mark.
    """

    place: str
    text: str


@dataclasses.dataclass(frozen=True)
class Document:
    """A text that is measured on its own: nothing before it is seen, and no window reaches into another.

    Attributes:
        tokens: int32 [tokens]: what stands before a text, then the text's.
        before: how many stand before it; these are not predicted.
        bytes: the length of the text in UTF-8.
    """

    tokens: np.ndarray
    before: int
    bytes: int

    @property
    def predicted(self) -> int:
        """How many tokens are predicted: all of the text's."""
        return len(self.tokens) - self.before


class Window(NamedTuple):
    """What a model sees at once of a document, and what of it counts.

    Attributes:
        start, stop: the tokens in [start, stop) are seen, and each predicts the next one.
        counts_from: the first predicted token that counts; those before it counted in an earlier window.
    """

    start: int
    stop: int
    counts_from: int


def windows(document: Document, length: int, stride: int) -> Iterator[Window]:
    """Yields windows in which each token of the text counts once.

    Args:
        document: of at least two tokens.
        length: the most tokens that are seen at once.
        stride: tokens between the starts of two windows, at most `length`: from the second window on, each token that
            counts has at least length - stride + 1 before it.
    """
    last, counts_from = len(document.tokens) - 1, document.before
    for start in range(0, last, stride):
        stop = min(start + length, last)
        yield Window(start, stop, counts_from)
        if stop == last:
            return
        counts_from = max(counts_from, stop + 1)


def texts(files: Sequence[str], fields: Sequence[str]) -> Iterator[Text]:
    """Yields the documents: without fields, each file is one; else each row is one, its fields joined by a newline.

    Args:
        files: plain text, .gz and .zst too; with fields what `read_rows` reads, and data sets of the hub.
        fields: of the rows.

    Raises:
        UserError: a file is missing or is no UTF-8, a row lacks a field or holds no text there, or a document is empty.
    """
    found = False
    for file in files:
        for each in _rows(file, fields) if fields else [_plain(file)]:
            if not each.text.strip():
                raise UserError(f"{each.place}: the text is empty: remove it")
            if has_lone_surrogate(each.text):
                raise UserError(
                    f"{each.place}: the text has half of a character (a lone surrogate), which no tokenizer reads"
                )
            found = True
            yield each
    if not found:
        raise UserError(f"{', '.join(files)}: no text to measure")


def _plain(file: str) -> Text:
    if has_rows(file):
        raise UserError(
            f"{file} has rows: name the field that holds the text, as in --field=text; plain text that looks like rows "
            "has a name in .txt"
        )
    return Text(file, "".join(pieces(file)))


def _rows(file: str, fields: Sequence[str]) -> Iterator[Text]:
    for number, row in read_rows(file):
        place = f"{file}, row {number}"
        yield Text(place, "\n".join(_field(place, row, name) for name in fields))


def _field(place: str, row: dict[str, Any], name: str) -> str:
    if name not in row:
        raise UserError(f'{place}: no field "{name}"; the row has {names_of(row)}')
    if not isinstance(row[name], str):
        raise UserError(f'{place}: "{name}" is {shown(row[name])}, not a text')
    return str(row[name])


def read(
    files: Sequence[str], fields: Sequence[str], tokenizer: Any, vocabulary: int, folder: Path
) -> tuple[list[Document], str]:
    """Returns documents as tokens, all that is kept of them, and a hash of the texts and their order.

    Args:
        files, fields: as for `texts`.
        tokenizer, vocabulary, folder: as for `encoded`.

    Raises:
        UserError: as these do.
    """
    digest = hashlib.sha256()

    def hashed() -> Iterator[Text]:
        for each in tqdm.tqdm(texts(files, fields), desc="read", unit=" documents", disable=None):
            digest.update(json.dumps(each.text).encode() + b"\n")
            yield each

    made = list(encoded(hashed(), tokenizer, vocabulary, folder))
    return made, digest.hexdigest()[:16]


def answers(files: Sequence[str], reader: Reader, encoder: Encoder) -> tuple[list[Document], str]:
    """Returns the responses to problems, each after the prompt that the model is asked with, and a hash of both.

    The end of a response is predicted, too; the prompts are not. So it is the loss that SFT would begin with.

    Args:
        files: problems, as `read_problems` takes them.
        reader: of their rows.
        encoder: says how the model is asked.

    Raises:
        UserError: a file is missing, or a row is none that the model could be trained on.
    """
    digest, made = hashlib.sha256(), []
    for file in files:
        problems = read_problems(file, reader)
        for problem, example in zip(problems, encoder.examples(problems, file), strict=True):
            digest.update(json.dumps([problem.question, problem.response]).encode() + b"\n")
            made.append(Document(example.tokens, example.loss_from, len(problem.response.encode())))
    return made, digest.hexdigest()[:16]


def encoded(found: Iterable[Text], tokenizer: Any, vocabulary: int, folder: Path) -> Iterator[Document]:
    """Yields documents as tokens; special tokens written in them stay text.

    Before each stands what the tokenizer puts there; where it puts nothing, its bos token, else its eos token, as
    lm-evaluation-harness has it: otherwise the first token would have nothing to be predicted from.

    Args:
        found: the texts.
        tokenizer: of the model.
        vocabulary: how many tokens the model knows.
        folder: of the model, for messages.

    Raises:
        UserError: the tokenizer has neither token, makes one that the model does not know, or loses a part of a text,
            which would be predicted too well.
    """
    before = special_tokens.put_before(tokenizer)
    if not before:
        own = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        before = tuple(token for token in own if token is not None)[:1]
    if not before:
        raise UserError(f"{folder}: the tokenizer has neither a bos nor an eos token to put before a text")
    waiting = iter(found)
    while some := list(itertools.islice(waiting, _AT_ONCE)):
        made = encode.tokens(tokenizer, [each.text for each in some], control=False)
        for each, ids, back in zip(some, made, encode.decoded(tokenizer, made), strict=True):
            if not ids or max(ids) >= vocabulary:
                made_of = f"the token {max(ids)}" if ids else "no token"
                raise UserError(
                    f"{folder}: the tokenizer makes {made_of} of {each.text[:40]!r} …, and the model has {vocabulary} "
                    "tokens: tokenizer and model do not belong together"
                )
            if not _says(back, each.text):
                raise UserError(
                    f"{each.place}: the tokenizer cannot write this text: {encode.difference(each.text, back)}; its "
                    "loss would be that of another text"
                )
            yield Document(np.array([*before, *ids], np.int32), len(before), len(each.text.encode()))


def _says(back: str, text: str) -> bool:
    """Tells whether what tokens say is a text, up to what tokenizers change and do not lose.

    Qwen's composes characters; others put a space before the first word, Llama 2's in place of one that is there.
    """
    if not text.isascii():
        back, text = (unicodedata.normalize("NFC", each) for each in (back, text))
    return text in (back, back.removeprefix(" "), f" {back}")
