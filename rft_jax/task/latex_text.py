r"""One way of writing an answer in LaTeX: `\tfrac12`, `1/2` and `.5` are one number, `\left( 1, 2 \right)` is `(1,2)`.

What MATH's own evaluation takes away is taken away (spaces, units, degrees, `\left`, currency and percent signs), and
rational numbers are read exactly. No algebra: `2x + x` stays what it is.
"""

import re
import unicodedata
from fractions import Fraction

# Digits beyond which no number is read, and the largest power of ten in `1.5 \times 10^{3}`.
_MAX_DIGITS = 400
_MAX_EXPONENT = 100

_IN_ORDER: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"(?<=\d)(?:\{,\}|,\\!)(?=\d{3})", ""),  # thousands
        (r"(?<!\\)\\[()\[\]]|\\\$|[$£€¥₹]|\*\*", ""),  # the marks of mathematics, and currencies
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\s?\.?|\\(?:display|text)style(?![A-Za-z])|(?<!\\)\\[!,;:>]", ""),
        (r"\\(?:qquad|quad)(?![A-Za-z])|(?<!\\)\\ |~|\s+", " "),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (
            r"\\(?:math(?:rm|bf|it|sf)|boldsymbol|bm|text(?:rm|bf|it|sf|normal)|mbox|operatorname|bf|rm)(?=\s?\{)",
            r"\\text",
        ),
        (r"\s?\^\s?\{?\s?\\circ(?![A-Za-z])\s?\}?|°|\\degree(?![A-Za-z])", ""),
        (r"\{,\}", ","),
        (r"[−–]", "-"),
        (r"≤|\\leq(?:slant)?(?![A-Za-z])", r"\\le "),
        (r"≥|\\geq(?:slant)?(?![A-Za-z])", r"\\ge "),
        (r"≠|\\neq(?![A-Za-z])", r"\\ne "),
        (r"\\(?:times|ast)(?![A-Za-z])|[×·*]", r"\\cdot "),
        (r"π", r"\\pi "),
        (r"∞", r"\\infty "),
        (r"(^|[(\[,]\s?)\+\s?(?=\\infty)", r"\1"),
        (r"√\s?(\d{1,99})", r"\\sqrt{\1}"),
        (r"∪", r"\\cup "),
        (r"±", r"\\pm "),
        (r"\\lbrace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\mathbb\s?([A-Z])", r"\\mathbb{\1}"),
        (r"\\lg(?![A-Za-z])", r"\\log_{10}"),
        (r"\\varnothing(?![A-Za-z])", r"\\emptyset"),
        (r"\\frac(?:\s?(?=\d)|\s(?=[A-Za-z]))([0-9A-Za-z])\s?", r"\\frac{\1}"),  # \frac12, \frac ab
        (r"(\\frac\{[^{}]*\})\s?([0-9A-Za-z])", r"\1{\2}"),
        (r"\\sqrt\s?(\d)", r"\\sqrt{\1}"),
        (r"(?<![\d.])\.(\d)", r"0.\1"),
    ]
]
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")
_PERCENT = re.compile(r"\s?(?:\\?%|\\text\s?\{\s?percent\s?\}|\bpercent)\s?$")
_WHOLE_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_NAME = re.compile(
    r"(?:[A-Za-z]|\\[A-Za-z]{2,20}|\\text\s?\{[^{}]*\})(?:_\{\w{1,9}\}|_\w)?(?:\^\{-1\})?(?:\([a-z]\))?\s?(?:=|\\in\s)(?=[^=]+$)"
)
_SET_BUILDER = re.compile(r"\\\{\s?[a-z]\s?(?:\\mid(?![A-Za-z])|[|:])(.*)\\\}")
_UNIT = re.compile(r"(?<=[\w}).])\s?\\text\s?\{[^{}]*\}(?:\s?\^\s?\{?\d\}?)?$")
# Without \text two or three letters may be a product: only units that everybody knows.
_WORDS = re.compile(
    r"""(?<=[\d}])\s
    (?:cm|mm|km|kg|mg|ft|lb|oz|ml|mL|hr|sq|mph|min|sec|day|lbs|hrs|[A-Za-z]{4,})(?:[ /][A-Za-z]+)*
    (?:\s?\^\s?\{?\d\}?)?$""",
    re.VERBOSE,
)
# Words behind a number that are more than its unit, or mathematics.
_NO_UNIT = re.compile(
    r"""\b(?:hundred|thousand|million|billion|trillion|dozen|base|[ap]m|[ap]\.m|and|or|pi|sqrt|root
    |alpha|beta|gamma|delta|theta|lambda|sigma|omega|infinity|mod|choose|arc\w*|sinh|cosh|tanh)\b""",
    re.VERBOSE,
)

_DIGITS = rf"[0-9]{{1,{_MAX_DIGITS}}}"
_DECIMAL = rf"(?:[0-9]{{1,3}}(?:,[0-9]{{3}}){{1,99}}|{_DIGITS})(?:\.[0-9]{{0,{_MAX_DIGITS}}})?"
_RATIONAL = re.compile(
    rf"""(?P<sign>[-+]?)\s?
    (?:(?:(?P<whole>{_DIGITS})\s?)?\\frac\s?\{{\s?(?P<minus>-?)\s?(?P<top>{_DECIMAL})\s?\}}\s?\{{\s?(?P<bottom>{_DECIMAL})\s?\}}
    | (?:(?P<whole2>{_DIGITS})\s)?(?P<top2>{_DECIMAL})\s?/\s?(?P<bottom2>{_DECIMAL})
    | (?P<integer>[0-9]{{0,99}})\.(?P<fixed>[0-9]{{0,99}})\\overline\s?\{{\s?(?P<repeated>[0-9]{{1,99}})\s?\}}
    | (?P<number>{_DECIMAL})(?:\s?\\cdot\s{{0,2}}10\s?\^\s?\{{?\s?(?P<exponent>-?[0-9]{{1,4}})\s?\}}?)?)""",
    re.VERBOSE,
)
_CHOICE = re.compile(r"\(?([A-Z])\)|([A-Z])[.:]?")
_WORD = re.compile(r"[A-Za-z][A-Za-z ]{2,}")
_DECIMALS = re.compile(r"[0-9]+\.[0-9]*")
_SLASH = re.compile(r"(?<![\w.}])([0-9]+)/([0-9]+)(?![\w.{])")
_SINGLE = re.compile(r"([_^])\{(\w)\}")


def tidy(answer: str) -> str:
    """Returns an answer without what does not count: spacing, sizes of brackets, units, currency, a final period."""
    answer = _SUPERSCRIPT.sub(lambda match: f"^{{{unicodedata.normalize('NFKC', match.group())}}}", answer)
    answer = _VULGAR.sub(lambda match: _vulgar(match.group()), answer)
    for pattern, replacement in _IN_ORDER:
        answer = pattern.sub(replacement, answer)
    answer = answer.strip().rstrip(".").strip()
    if (whole := _WHOLE_TEXT.fullmatch(answer)) is not None:
        answer = whole.group(1).strip().rstrip(".")
    answer, _ = split_percent(answer)
    for unit in (_UNIT, _WORDS):
        if (match := unit.search(answer)) is not None and not _NO_UNIT.search(match.group()):
            answer = answer[: match.start()].strip()
    builder = _SET_BUILDER.fullmatch(answer)
    return builder.group(1).strip() if builder else answer


def split_percent(answer: str) -> tuple[str, bool]:
    """Returns an answer without its final percent sign, and whether it had one."""
    without = _PERCENT.sub("", answer.rstrip(" .$"))
    return (without, True) if without != answer.rstrip(" .$") and without else (answer, False)


def value_of_name(tidied: str) -> str:
    """Returns what an answer says that a name is (`x = 5`, `f(x) = 2x`), or the answer itself."""
    match = _NAME.match(tidied)
    return tidied[match.end() :].strip() if match else tidied


def rational(tidied: str) -> Fraction | None:
    """Returns the rational number that a tidied answer is and nothing else, exactly, or None."""
    match = _RATIONAL.fullmatch(tidied)
    if match is None:
        return None
    groups = match.groupdict()
    if groups["repeated"] is not None:
        fixed, repeated = groups["fixed"], groups["repeated"]
        value = Fraction(int((groups["integer"] or "0") + fixed), 10 ** len(fixed))
        value += Fraction(int(repeated), 10 ** len(fixed) * (10 ** len(repeated) - 1))
    elif groups["number"] is not None:
        exponent = int(groups["exponent"] or 0)
        if abs(exponent) > _MAX_EXPONENT:
            return None
        value = _decimal(groups["number"]) * Fraction(10) ** exponent
    else:
        bottom = _decimal(groups["bottom"] or groups["bottom2"])
        whole = groups["whole"] or groups["whole2"]
        if not bottom or (whole and groups["minus"]):
            return None
        value = _decimal(groups["top"] or groups["top2"]) / bottom
        value = -value if groups["minus"] else value + int(whole or 0)
    return -value if groups["sign"] == "-" else value


def word(tidied: str) -> str | None:
    """Returns the choice (`A` for `(A)`) or the word or name that an answer is, in lower case; None if it is neither.

    Three letters may be a product, `abc`, so words begin at four; and at the few short ones that answers are.
    """
    if (choice := _CHOICE.fullmatch(tidied)) is not None:
        return choice.group(1) or choice.group(2)
    lower = tidied.lower()
    if lower in {"yes", "no", "odd"}:
        return lower
    words = lower.split()
    return " ".join(words) if _WORD.fullmatch(tidied) and len(tidied) > 3 and not {"and", "or"} & {*words} else None


def normal(tidied: str) -> str:
    """Returns the one way to write a tidied answer that is no rational number."""
    text = re.sub(r",?\s?\\text\s?\{\s?(?:and|or)\s?\}|,?\s(?:and|or)\s", ",", tidied)
    text = _SLASH.sub(r"\\frac{\1}{\2}", text.replace("\\text", ""))
    text = _DECIMALS.sub(lambda match: match.group().rstrip("0").rstrip("."), text)
    text = "".join(text.split())
    return _SINGLE.sub(r"\1\2", text)


def _vulgar(character: str) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", character).partition("\N{FRACTION SLASH}")
    return f"\\frac{{{top}}}{{{bottom}}}"


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip("."))
