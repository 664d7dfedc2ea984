"""A line as tokens: numbers, currencies, words, symbols. A number that runs into another is none."""

import re
from typing import Literal, NamedTuple, cast

# A longer number, or one of a larger power of ten, is no answer, and arithmetic on it would cost.
MAX_DIGITS = 100
MAX_EXPONENT = 99


Kind = Literal["number", "currency", "area", "word", "symbol"]


class Token(NamedTuple):
    """One token.

    Attributes:
        kind: what it is; an area is any unit with a small power, as `m^2` or `m/s²`.
        text: as written; of a number, without what groups its thousands.
        spaced: a space stands before it.
        grouped: a number whose thousands are grouped by spaces.
    """

    kind: Kind
    text: str
    spaced: bool
    grouped: bool = False


# Thousands in threes by one kind of mark, or as in India (1,00,000); `0,500` is grouped by neither. Behind it neither
# a digit nor a mark with a digit: 1,5 and 1.2.3 and 5'6 are not read as their beginnings.
_NUMBER = r"""(?P<number>
    (?: [1-9][0-9]{0,2} (?P<mark>[,'_\ ]) [0-9]{3} (?:(?P=mark)[0-9]{3})* (?![0-9])
      | [1-9][0-9]? (?:,[0-9]{2})+ ,[0-9]{3} (?![0-9])
      | [0-9]+
    ) (?:\.[0-9]*)?
    | \.[0-9]+ )
    (?P<exponent>[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9]))?
    (?![0-9]|[.,'_][0-9])"""
_TOKEN = re.compile(
    rf"""(?P<space>\ +)
    | {_NUMBER}
    | (?P<currency> (?:(?<![A-Za-z])(?:US|AU|CA|NZ|HK|NT|[ACRS]))?\$ | [¢£¤¥€₠-⃀]
        | (?<![A-Za-z])(?:USD|EUR|GBP|INR|AUD|CAD|NZD|CNY|RMB|JPY|CHF|HKD|SGD|PHP|MXN|BRL|(?i:rs)\.?)(?![A-Za-z]) )
    | (?P<area> (?<![A-Za-z/]) (?:[A-Za-z]+/)?
        (?:(?:[kcdm]?m|ft|in|yd|mi|inch(?:es)?|feet|yards?|miles?|met(?:er|re)s?|units?)\^?|s\^)[23](?![\w.^]) )
    | (?P<word> [^\W\d_]+(?:['&./-][^\W\d_]+)* )
    | (?P<symbol> \*\*|\.\.+|. )
    """,
    re.VERBOSE | re.DOTALL,
)


def tokenize(text: str) -> list[Token] | None:
    """Returns the tokens of a line that `plain` made, or None where digits are no well-formed number."""
    tokens = []
    spaced = False
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "space":
            spaced = True
            continue
        if match["number"] is not None:
            mark = match["mark"]
            number = match["number"].replace(mark or ",", "").replace(",", "")  # 1,00,000 has no `mark`
            exponent = match["exponent"] or ""
            if len(number) > MAX_DIGITS or (exponent and abs(int(exponent[1:])) > MAX_EXPONENT):
                return None
            tokens.append(Token("number", number + exponent, spaced, mark == " "))
        else:
            token = match.group()
            if token in "0123456789":
                return None
            tokens.append(Token(cast(Kind, kind), token, spaced))
        spaced = False
    return tokens
