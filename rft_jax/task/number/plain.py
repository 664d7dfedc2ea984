r"""One spelling for each thing: LaTeX, Markdown, tags and Unicode become the plain characters that the tokens know.

`$\frac{1}{2}$` becomes `$ 1/2 $`, `**１，２００**` becomes `1,200`, `3×10⁵` becomes `3×10^5`. Nothing is guessed: a
command or a character that is not known here stays, and the grammar then reads no number.
"""

import functools
import re
import unicodedata

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SMALL_FRACTION = re.compile(r"([⁰¹²³⁴-⁹]+)[⁄/]([₀-₉]+)")  # ¹³⁄₁₆
_SUPERSCRIPT = re.compile(r"[⁰¹²³⁴-⁹⁺⁻]+")

# What Unicode's own tables do not say. A spaced `·` is a product; an em dash stays, for it is no minus.
_SPELLINGS = {
    **dict.fromkeys("−–‐‑‒﹣", "-"),
    **dict.fromkeys("⁄∕", "/"),
    **dict.fromkeys("·⋅∙∗", "*"),
    **dict.fromkeys("✕✖⨯", "×"),
    **dict.fromkeys("’‘ʼ′＇", "'"),
    **dict.fromkeys("“”„″«»", '"'),
    **dict.fromkeys("≃≅≒", "≈"),
    **dict.fromkeys("→⇒⟹", "="),
    **dict.fromkeys("º˚", "°"),
    "∼": "~",
    "…": "...",
    "٫": ".",
    "٬": ",",
    "٪": "%",
    "。": ".",
    "、": ", ",
}

_LATEX_SPELLINGS = {
    **dict.fromkeys(("times",), "×"),
    **dict.fromkeys(("cdot", "ast"), "*"),
    **dict.fromkeys(("approx", "simeq"), "≈"),
    **dict.fromkeys(("to", "rightarrow", "Rightarrow", "implies"), "="),
    **dict.fromkeys(("circ", "degree"), "°"),
    **dict.fromkeys(("ldots", "dots", "cdots"), "..."),
    **dict.fromkeys(("left", "right", "!", "displaystyle", "bf"), ""),
    **dict.fromkeys(("boxed", "fbox", "quad", "qquad", ",", ";", ":", " ", "(", ")", "[", "]", "\\"), " "),
    **{mark: mark for mark in "%$#&_{}"},
    "div": "÷",
    "pm": "±",
    "pounds": "£",
    "euro": "€",
}
_LATEX_FRACTION = re.compile(r"\\[dtc]?frac\s?(?:\{([-0-9.,\s]{1,50})\}|([0-9]))\s?(?:\{([-0-9.,\s]{1,50})\}|([0-9]))")
_LATEX_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|underline|mbox|operatorname)\s?\{([^{}]*)\}")
_LATEX_DEGREES = re.compile(r"\^\s?\{?\s?\\circ\s?\}?")
_LATEX_TIE = re.compile(r"(?<=[0-9])~(?=[A-Za-z\\])")
_LATEX_COMMAND = re.compile(r"\\([A-Za-z]+|.)")
_EXPONENT = re.compile(r"\^\s?[{(]\s?(-?[0-9]{1,3})\s?[})]")

_ARROW = re.compile(r"[-=]+>")
_TAG = re.compile(r"<<[^<>]*>>|</?[A-Za-z][^<>]*>|<\|[^<>]*\|>")
# Neither a mark between operands nor one with spaces around it is emphasis: 3*4*5, 3 * 4 * 5, 1_200.
_EMPHASIS = [
    (mark, re.compile(rf"(?<![\w){mark}])([{mark}]{{1,3}})(?=[^\s{mark}])([^{mark}]*)(?<=\S)\1(?![\w({mark}])"))
    for mark in "*_`"
]
_LAST_MARKS = re.compile(r"(?<![\s*_`])[*_`]+\s*\Z")


def plain(text: str) -> str:
    """Returns one line of text in the characters that the tokens know, in linear time.

    GSM8K's annotations (`<<3*4=12>>`) and tags (`</s>`, `<b>`) are left out. A Unicode or LaTeX fraction is set apart
    by spaces, so that `2½` is a mixed number and `½5` is none.
    """
    text = text.replace("{,}", ",")  # LaTeX's way to keep a comma tight
    text = text.replace("\t", "  ")  # two spaces never group thousands: a tab parts columns
    if "\\" in text:
        text = _without_latex(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        text = _SMALL_FRACTION.sub(_small_fraction, text)
        text = _SUPERSCRIPT.sub(lambda match: "^" + match.group().translate(_SUPERSCRIPTS), text)
        text = "".join(map(_plain_character, text))
    text = _EXPONENT.sub(r"^\1", text).replace(" ^", "^")  # \text{ cm }^2
    if "<" in text:
        text = _TAG.sub(" ", text)
    text = _ARROW.sub("=", text)
    return _without_emphasis(text)


def _without_emphasis(text: str) -> str:
    for mark, emphasis in _EMPHASIS:
        if mark in text:
            text = emphasis.sub(r"\2", text)
    # Of a pair the other mark may stand on another line or before the `####`. `12 *` is an unfinished product.
    text = text.strip(" *_`") if text.startswith(("*", "_", "`")) else _LAST_MARKS.sub("", text)
    return text.strip(" ")


def _without_latex(text: str) -> str:
    text = _LATEX_TIE.sub(" ", text)
    text = _LATEX_FRACTION.sub(r" \1\2/\3\4 ", text)
    text = _LATEX_WORDS.sub(r" \1 ", text)
    text = _LATEX_DEGREES.sub("°", text)
    return _LATEX_COMMAND.sub(lambda match: _LATEX_SPELLINGS.get(match.group(1), match.group()), text)


def _small_fraction(match: re.Match[str]) -> str:
    return f" {match.group(1).translate(_SUPERSCRIPTS)}/{match.group(2).translate(_SUBSCRIPTS)} "


@functools.lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    if (spelling := _SPELLINGS.get(character)) is not None:
        return spelling
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    category = unicodedata.category(character)
    if category == "Cf":  # zero-width: marks of direction, soft hyphens, the byte order mark
        return ""
    if category == "Zs":
        return " "
    form = unicodedata.decomposition(character)
    if form.startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character).replace("⁄", "/") + " "
    if form.startswith(("<wide>", "<small>")):
        return "".join(map(_plain_character, unicodedata.normalize("NFKC", character)))
    return character
