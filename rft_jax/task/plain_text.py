r"""One spelling for what has many: glyphs and LaTeX become the ASCII signs `+ - * / ^ = % ( )`.

Everything here is a fixed number of passes, each linear in the length of the text.
"""

import re
import unicodedata

_GLYPHS = str.maketrans(
    {
        **dict.fromkeys("×·∙⋅∗✕✖", "*"),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("−–—‐‑‒﹣", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff"),
        **{
            sign: rf"\frac{{{a}}}{{{b}}}"
            for sign, a, b in zip("½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞", "112131234151357", "233445555668888", strict=True)
        },
        "…": "...",
        "’": "'",
        "¢": " cents ",
        "°": " degrees ",
    }
)

_POWER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")

_LATEX = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\(?:begin|end)\s*\{[^{}]*\}", "\n"),
        (r"\\\\\s*(?==)", " "),  # the chain continues in the next row
        (r"\\\\", "\n"),
        (r"\\[,;:!> ]|~", " "),
        (r"\{,\}", ","),
        (r"\\([$%])", r"\1"),
        (r"\\(?:text|textbf|textrm|mathrm|mbox|mathbf|operatorname)\s*\{([^{}]*)\}", r"\1"),
        (r"\^\s*(?:\{\s*)?\\(?:circ|degree)(?![A-Za-z])(?:\s*\})?", " degrees "),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])", " * "),
        (r"\\div(?![A-Za-z])", " / "),
        (r"\\(?:approx|simeq|cong)(?![A-Za-z])", "≈"),
        (r"\\(?:displaystyle|left|right|[bB]igg?[lr]?|boxed|fbox|underline)(?![A-Za-z])", ""),
        (r"\\[()\[\]]", "\n"),  # math mode begins or ends
    ]
]
_SHORT_FRACTION = re.compile(r"\\[dtc]?frac\s*([0-9])\s*([0-9])")
_SIMPLE_FRACTION = re.compile(r"(?:(?<![0-9])([0-9]+)\s*)?\\[dtc]?frac\s*\{\s*([0-9.]+)\s*\}\s*\{\s*([0-9.]+)\s*\}")
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_MAX_NESTED_FRACTIONS = 4


def in_ascii_signs(text: str) -> str:
    """Returns the text with one sign per operator, and a line end wherever an expression cannot continue."""
    if not text.isascii():
        text = _POWER.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text)
        text = unicodedata.normalize("NFKC", text.translate(_GLYPHS))
    if "\\" in text or "{" in text:
        text = text.replace("&", " ")
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
        text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text)
        text = _SIMPLE_FRACTION.sub(_fraction, text)
        for _ in range(_MAX_NESTED_FRACTIONS):
            text, found = _FRACTION.subn(r"((\1)/(\2))", text)
            if not found:
                break
        text = text.replace("{", "(").replace("}", ")")
    return text


def _fraction(match: re.Match[str]) -> str:
    whole, above, below = match.groups()
    if whole:
        return f"({whole}+{above}/{below})"
    # Brackets only where they matter, so that `\frac{1}{2} \cdot 8` is written as `1/2*8`.
    before = match.string[: match.start()][-8:].rstrip()[-1:]
    after = match.string[match.end() : match.end() + 8].lstrip()[:1]
    bare = before not in tuple("/^%)") and after != "^"
    return f" {above}/{below} " if bare else f"({above}/{below})"
