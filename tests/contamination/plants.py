"""Changed copies of problems, by code that knows nothing of how they are found."""

import random
import re
from collections.abc import Callable

from rft_jax.contamination.pairs import Kind
from rft_jax.world import story

NAMES = (
    "Zoë", "Ngozi", "Łukasz", "Aïcha", "Björn", "Priya", "Oluwaseun", "Xiomara", "Søren", "Þóra", "Mateo", "Ingrid",
    "Kwame", "Yuki", "Anneliese", "Tomáš",
)  # fmt: skip
NUMERALS = (
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "twenty",
    "thirty",
)
SENTENCES = (
    "It was a cold and rainy morning in the middle of the week.",
    "Nobody in the neighbourhood had expected anything like that to happen.",
    "The radio played an old song that everyone knew by heart.",
)
# A capital that begins no sentence, or a name of the generated problems, which may.
_NAME = re.compile(rf"(?<=[a-z,;] )[A-Z][a-z]{{2,}}(?![A-Za-z])|\b(?:{'|'.join(story._PEOPLE)})\b")


def names_in(text: str) -> list[str]:
    """Returns the names in a text: those of the people and places in it, as far as this can tell."""
    return list(dict.fromkeys(_NAME.findall(text)))


def verbatim(text: str, rng: random.Random) -> str:
    return text


def reshaped(text: str, rng: random.Random) -> str:
    """Another case, other marks of punctuation, other spaces, and characters that Unicode calls compatible."""
    text = rng.choice([str.upper, str.lower, str.title])(text)
    text = text.replace(", ", rng.choice(["; ", " , "])).replace(". ", rng.choice(["!  ", " .\n", " … "]))
    return f"  {text.translate(dict(zip(b'0123456789', '０１２３４５６７８９', strict=True)))}\n"


def numbers(text: str, rng: random.Random) -> str:
    text = re.sub(r"\d+(?:,\d{3})*(?:\.\d+)?", lambda _: f"{rng.choice([rng.randint(2, 99), 12_500, 0.75]):,}", text)
    every = "|".join(NUMERALS)
    return re.sub(rf"\b(?:{every})\b", lambda _: rng.choice(NUMERALS), text)


def names(text: str, rng: random.Random) -> str:
    """Other names, one for each, wherever it stands; the pronouns stay."""
    others = rng.sample(NAMES, len(NAMES))
    for name, other in zip(names_in(text), others, strict=False):
        text = re.sub(rf"\b{name}\b", other, text)
    return text


def both(text: str, rng: random.Random) -> str:
    return names(numbers(text, rng), rng)


def sentence_added(text: str, rng: random.Random) -> str:
    sentences = re.split(r"(?<=[.!?])\s+", text)
    sentences.insert(rng.randint(0, len(sentences)), rng.choice(SENTENCES))
    return " ".join(sentences)


# Each with the weakest kind that it may be found as.
PLANTS: dict[Callable[[str, random.Random], str], Kind] = {
    verbatim: Kind.TEXT,
    reshaped: Kind.NORMALISED,
    numbers: Kind.NUMBERS,
    names: Kind.NAMES,
    both: Kind.NAMES,
    sentence_added: Kind.WORDS,
}
