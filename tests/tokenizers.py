"""Tokenizers of every kind that models come with, each a folder loaded as a user's is (fixture `sample_tokenizer`).

Three are real ones, which `launch/fetch_tokenizers.sh` makes in `.cache/tokenizers`; where they are not, their tests
skip. The others are rebuilt small.
"""

import dataclasses
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from rft_jax.data import tokenizer
from tests import fetched_tokenizers, rebuilt_tokenizers

ROOT = Path(__file__).parents[1]
FETCHED = ROOT / ".cache" / "tokenizers"
EMBEDDED = ROOT / "rft_jax" / "world" / "base_model"

NAMES = ("embedded", *rebuilt_tokenizers.WRITERS, *fetched_tokenizers.NAMES)


@dataclasses.dataclass(frozen=True)
class SampleTokenizer:
    """A tokenizer to test with.

    Attributes:
        name: of `NAMES`.
        folder: it was loaded from.
        tokenizer: of transformers.
    """

    name: str
    folder: Path
    tokenizer: Any

    def keeps(self, text: str) -> bool:
        """Whether a text behind others comes back from its tokens; if not, a row that holds it is to be refused."""
        if self.name == "wordpiece":  # loses case and spaces
            return False
        if self.name == "qwen-like":  # composes letters and accents, as Qwen's own does
            return unicodedata.normalize("NFC", text) == text
        if "llama2" in self.name:  # takes the mark for a space
            return "▁" not in text
        return True

    def __repr__(self) -> str:
        return self.name


def load(name: str, scratch: Path) -> SampleTokenizer:
    """Returns the tokenizer of a name; skips the test when it is one to be fetched and is not there.

    Args:
        name: of `NAMES`.
        scratch: where a rebuilt one is written.
    """
    if name == "embedded":
        folder = EMBEDDED
    elif name in rebuilt_tokenizers.WRITERS:
        folder = scratch / name
        rebuilt_tokenizers.WRITERS[name](folder)
    else:
        folder = FETCHED / name
        if not folder.exists():
            pytest.skip(f"needs the tokenizer {name}: launch/fetch_tokenizers.sh fetches it")
    return SampleTokenizer(name, folder, tokenizer.load(folder))
