"""Documents whose loss is measured: texts, or fields of rows, as tokens, and the windows that a model sees of them."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rft_jax.data import encode, special_tokens
from rft_jax.errors import UserError
from rft_jax.records import hub
from rft_jax.records.lines import has_lone_surrogate, names_of, opened, shown
from rft_jax.records.rows import read_rows

# Files whose text is fields of rows.
_ROWS = (".jsonl", ".json", ".parquet")


@dataclasses.dataclass(frozen=True)
class Document:
    """A text that is measured on its own: nothing before it is seen, and no window reaches into another.

    Attributes:
        text: as it is in its file.
        tokens: int32 [tokens]: what stands before a text, then the text's.
        before: how many stand before it; these are not predicted.
    """

    text: str
    tokens: np.ndarray
    before: int

    @property
    def predicted(self) -> int:
        """How many tokens are predicted: all of the text's."""
        return len(self.tokens) - self.before

    @property
    def bytes(self) -> int:
        """The length of the text in UTF-8."""
        return len(self.text.encode())


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


def texts(files: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Returns the documents: without fields, each file is one; else each row is one, its fields joined by a newline.

    Args:
        files: plain text, .gz and .zst too; with fields what `read_rows` reads, and data sets of the hub.
        fields: of the rows.

    Raises:
        UserError: a file is missing or is no UTF-8, a row lacks a field or holds no text there, or a document is empty.
    """
    found = []
    for file in files:
        if not fields:
            found.append(_checked(_plain(file), file))
            continue
        for number, row in read_rows(file):
            place = f"{file}, row {number}"
            found.append(_checked("\n".join(_field(place, row, name) for name in fields), place))
    if not found:
        raise UserError(f"{', '.join(files)}: no text to measure")
    return found


def _plain(file: str) -> str:
    name = file.removesuffix(".gz").removesuffix(".zst")
    if name.endswith(_ROWS) or file.startswith(hub.PREFIX):
        raise UserError(f"{file} has rows: name the field that holds the text, as in --field=text")
    with opened(file) as stream:
        try:
            return stream.read().decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is not UTF-8 at byte {error.start}: save it as UTF-8") from None


def _field(place: str, row: dict[str, Any], name: str) -> str:
    if name not in row:
        raise UserError(f'{place}: no field "{name}"; the row has {names_of(row)}')
    if not isinstance(row[name], str):
        raise UserError(f'{place}: "{name}" is {shown(row[name])}, not a text')
    return str(row[name])


def _checked(text: str, place: str) -> str:
    if not text.strip():
        raise UserError(f"{place}: the text is empty: remove it")
    if has_lone_surrogate(text):
        raise UserError(f"{place}: the text has half of a character (a lone surrogate), which no tokenizer reads")
    return text


def fingerprint(found: Sequence[str]) -> str:
    """Returns a hash of documents and their order."""
    digest = hashlib.sha256()
    for text in found:
        digest.update(json.dumps(text).encode() + b"\n")
    return digest.hexdigest()[:16]


def encoded(found: Sequence[str], tokenizer: Any, vocabulary: int, folder: Path) -> list[Document]:
    """Returns documents as tokens; special tokens written in them stay text.

    Before each stands what the tokenizer puts there; where it puts nothing, its bos token, else its eos token, as
    lm-evaluation-harness has it: otherwise the first token would have nothing to be predicted from.

    Args:
        found: the texts.
        tokenizer: of the model.
        vocabulary: how many tokens the model knows.
        folder: of the model, for messages.

    Raises:
        UserError: the tokenizer has neither token, or makes one that the model does not know.
    """
    before = special_tokens.put_before(tokenizer)
    if not before:
        own = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        before = tuple(token for token in own if token is not None)[:1]
    if not before:
        raise UserError(f"{folder}: the tokenizer has neither a bos nor an eos token to put before a text")
    made = []
    for text, ids in zip(found, encode.tokens(tokenizer, found, control=False), strict=True):
        tokens = np.array([*before, *ids], np.int32)
        if not ids or tokens.max() >= vocabulary:
            made_of = f"the token {tokens.max()}" if ids else "no token"
            raise UserError(
                f"{folder}: the tokenizer makes {made_of} of {text[:40]!r} …, and the model has {vocabulary} tokens: "
                "tokenizer and model do not belong together"
            )
        made.append(Document(text, tokens, len(before)))
    return made
