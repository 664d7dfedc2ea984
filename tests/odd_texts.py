"""Texts with every odd character, as a hypothesis strategy and as a fixed list."""

import functools
import random

from hypothesis import strategies

_SPACES = [
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    " \n ",
    "\v",
    "\f",
    "\x85",
    "\xa0",
    "\u2009",
    "\u2028",
    "\u3000",
]
_UNSEEN = [
    "\0",
    "\x01",
    "\x1b[0m",
    "\x7f",
    "\xad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u202e",
    "\u2060",
    "\ufeff",
]
_CONTROL = [
    *(
        "<s>",
        "</s>",
        "<unk>",
        "<pad>",
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|begin_of_text|>",
        "<|eot_id|>",
    ),
    *(
        "[INST]",
        "[/INST]",
        "<<SYS>>",
        "[CLS]",
        "[SEP]",
        "[UNK]",
        "<tool_call>",
        "<0x0A>",
        "<0xE2>",
        "▁",
        "▁▁",
        "Ġ",
        "Ċ",
        "##",
    ),
    *("<|im_end", "|>", "</", "s>", "<|reserved_special_token_0|>", "### Response:", "\n\n### Instruction:\n"),
]
_SCRIPTS = [
    *("é", "e\u0301", "a\u0328\u0301\u0323", "ﬁ", "①", "½", "٣٤", "१२", "Ⅷ", "ß", "İ", "ı", "ǆ", "Å", "Å"),
    *(
        "שלום",
        "مرحبا",
        "你好",
        "こんにちは",
        "한국어",
        "\u1112\u1161\u11ab",
        "ภาษาไทย",
        "ᚠ",
        "𝔘𝔫𝔦",
        "𒀀",
        "\U0010ffff",
        "\ue000",
        "\U000f0000",
        "\ufffd",
        "\ufffe",
    ),
    *("😀", "👩‍👩‍👧‍👦", "🇫🇷", "👍🏽", "❤️", "🏴\U000e0067\U000e007f"),
]
_NUMBERS = [
    "0",
    "12",
    "1,000",
    "3.14",
    "#### .5",
    "#### 5",
    "7" * 60,
    "<<48/2=24>>24",
    "$5 × 3 = $15",
    r"\frac{1}{2}",
    "1e-9",
    "5 %",
    "−3",
]
_WORDS = [
    "a",
    "The",
    " answer",
    "don't",
    "I'LL",
    " , ",
    " .",
    "?!",
    "…",
    "x" * 300,
    "_",
    "\\n",
    '"',
    "{{ x }}",
    "{% if %}",
    "%s",
]

PIECES = (*_SPACES, *_UNSEEN, *_CONTROL, *_SCRIPTS, *_NUMBERS, *_WORDS)


def odd_texts(*, max_pieces: int = 12) -> strategies.SearchStrategy[str]:
    """Returns a strategy of texts of odd pieces and of any characters but surrogates; some are empty or blank."""
    anything = strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=8)
    pieces = strategies.sampled_from(PIECES) | anything
    return strategies.lists(pieces, max_size=max_pieces).map("".join)


@functools.cache
def fixed_odd_texts(count: int = 2000, seed: int = 0) -> tuple[str, ...]:
    """Returns odd texts for plain loops: each piece alone first, then mixtures, the last of them very long.

    Args:
        count: of texts.
        seed: equal seeds give equal texts.
    """
    rng = random.Random(seed)
    mixtures = ["".join(rng.choices(PIECES, k=rng.randint(2, 12))) for _ in range(count - len(PIECES) - 2)]
    return (*PIECES, *mixtures, "".join(rng.choices(PIECES, k=2000)), "9" * 20_000)
