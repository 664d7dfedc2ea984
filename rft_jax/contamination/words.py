"""A text as its words, in three forms: normalised, with its numbers masked, and with its names masked as well."""

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Sequence

MASK = "\0"  # no word has a NUL

# Numbers (1,000 and 2nd are one word), characters of scripts without spaces, words, and what makes another formula.
_NUMBER = r"\d+(?:[.,]\d+)*(?:(?:st|nd|rd|th)\b)?"
_UNSPACED = "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
_OPERATOR = r"[+=<>^%|~±×÷≤≥≠√∑∏∫∈∪∩]|[-*/](?=\s*[\d(\\])"
_TOKEN = re.compile(rf"{_NUMBER}|{_UNSPACED}|[^\W\d_]+|{_OPERATOR}", re.IGNORECASE)
_NUMERALS = frozenset({
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty",
    "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "million", "billion", "dozen",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Form:
    """A text in one form.

    Attributes:
        words: its words.
        starts: the place in the normalised text of the first word that each stands for, and behind the last one the
            number of normalised words: a run of numbers or names is one word where it is masked.
    """

    words: Sequence[str]
    starts: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Words:
    """A text in its three forms.

    Attributes:
        plain: case, punctuation, spaces and Unicode's ways to write a character make no difference; 1,000 is 1000.
        unnumbered: a run of numbers, in digits or in words, is a MASK.
        anonymous: a run of numbers and of words that begin with a capital is a MASK.
    """

    plain: Form
    unnumbered: Form
    anonymous: Form


def normal(text: str) -> str:
    """Returns a text in Unicode's form NFKC, in which a character is written in one way; its lines stay."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def read(text: str) -> Words:
    """Returns the words of a text in NFKC.

    What begins with a capital at the start of a sentence may be a name or not, and is masked like one: `Tom has` and
    `Ann has` are alike, and so are `The` and `A`.
    """
    tokens = _TOKEN.findall(text)
    plain = [(token.replace(",", "") if token[0].isdigit() else token).casefold() for token in tokens]
    numbers = [MASK if word[0].isdigit() or word in _NUMERALS else word for word in plain]
    names = [MASK if token[0].isupper() else word for token, word in zip(tokens, numbers, strict=True)]
    return Words(Form(plain, range(len(plain) + 1)), _collapsed(numbers), _collapsed(names))


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yields where each word of `read(text).plain` begins and ends in the text."""
    return (match.span() for match in _TOKEN.finditer(text))


def _collapsed(words: Sequence[str]) -> Form:
    kept: list[str] = []
    starts: list[int] = []
    for place, word in enumerate(words):
        if kept and word is MASK and kept[-1] is MASK:
            continue
        kept.append(word)
        starts.append(place)
    return Form(kept, [*starts, len(words)])
