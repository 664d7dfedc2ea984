"""The value of a line that states one number: `The answer is $1,200/month`, `10 + 5 = 15 apples`, `2½ million`.

    line     := (stated "=")* side
    side     := words quantity words
    quantity := sign? currency? amount scale*
    amount   := number | number "/" number | whole number "/" number | number "×" 10 "^" integer | 10 "^" integer

**One quantity per line, read wholly or not at all.** What stands before an `=` is arithmetic or a name. A second number
(`5-6`, `5:30`, `18 or 20`, `5 apples and 3 oranges`, `1 hour thirty minutes`), an operation that is not carried out
(`12 - 5`, `2^10`, `5!`, `half of 18`), a variable (`5x`, `3+4i`), a bound (`> 5`, `at least 5`), an ordinal, a date, a
base or an unknown sign: no number. Units, currencies and percent signs do not count: `50%` is 50, as GSM8K writes it.
"""

from fractions import Fraction

from rft_jax.task.number import words
from rft_jax.task.number.plain import plain
from rft_jax.task.number.tokens import MAX_EXPONENT, Token, tokenize

# A longer line states more than a number.
MAX_CHARACTERS = 400

_COMPARISONS = frozenset("<>≤≥≠≲≳")
_SEPARATORS = frozenset([",", ";", "and", "or"])
_OPENING = frozenset("([{\"':")
# Symbols that may stand among the words; every other one is an operation or unknown.
_BEFORE = frozenset(".,:;!?()[]{}\"'—")
_BEHIND = frozenset(".,:;!?()[]{}\"'—%‰°/&")
_TIMES = frozenset(["×", "*", "x", "X"])
_FIRST_IDEOGRAPH = "\u2e80"  # from here on, words stand beside numbers without a space


def read_number(text: str, *, max_words: int = MAX_CHARACTERS) -> Fraction | None:
    """Returns the one number that a line states, exactly, or None.

    Args:
        text: a line; of hostile text the time is linear.
        max_words: a line of more words states no number.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    tokens = tokenize(plain(text))
    if tokens is None or sum(token.kind == "word" for token in tokens) > max_words:
        return None
    if any(token.text in _COMPARISONS for token in tokens):
        return None
    *stated, side = _split_at_equals(tokens)
    if not all(_may_equal(part, is_first=number == 0) for number, part in enumerate(stated)):
        return None
    return _read_side(side)


def _split_at_equals(tokens: list[Token]) -> list[list[Token]]:
    sides: list[list[Token]] = [[]]
    for token in tokens:
        if token.text in {"=", "≈"}:
            sides.append([])
        else:
            sides[-1].append(token)
    return sides


def _may_equal(part: list[Token], *, is_first: bool) -> bool:
    """Tells whether what stands before an `=` states the same value: a name, or arithmetic on numbers alone.

    `x = 5, y = 6` states two values, and `4x = 20` does not say what x is.
    """
    numbers = [place for place, token in enumerate(part) if token.kind == "number"]
    if not numbers:
        return is_first
    if any(token.text.lower() in _SEPARATORS for token in part):
        return False
    for place, token in enumerate(part):
        is_letter = token.kind == "word" and len(token.text) == 1 and token.text < _FIRST_IDEOGRAPH
        multiplies = (
            token.text in _TIMES and 0 < place < len(part) - 1 and part[place + 1].kind in {"number", "currency"}
        )
        if is_letter and not multiplies and (part[place - 1].kind != "number" or not _is_unit_letter(token)):
            return False
    return True


def _is_unit_letter(token: Token) -> bool:
    return token.text in words.UNIT_LETTERS


def _read_side(tokens: list[Token]) -> Fraction | None:
    """Returns the value of words, a quantity, words."""
    start = next((place for place, token in enumerate(tokens) if token.kind == "number"), None)
    if start is None:
        return None
    quantity = _read_amount(tokens, start)
    sign = _read_sign(tokens[:start], tokens[start])
    if quantity is None or sign is None:
        return None
    value, end = quantity
    factor, before = sign
    is_money = any(token.kind == "currency" for token in tokens[len(before) : start])
    scale, end = _read_scale(tokens, end, is_money=is_money)
    if not (_may_precede(before) and _may_follow(tokens[end:])):
        return None
    factor *= scale
    return value if factor == 1 else value * factor  # products of fractions are slow


def _read_amount(tokens: list[Token], start: int) -> tuple[Fraction, int] | None:
    """Returns the value of the numbers from a place on, and the place behind them."""
    texts = [token.text for token in tokens[start : start + 7]]
    number = tokens[start]
    value = Fraction(number.text.rstrip("."))
    match texts[1:]:
        case ["/", *_] if (divisor := _plain_number(tokens, start + 2)) is not None:
            # 1 200/3 may be a mixed number. 3/4ths is 3/4, but 20 1/4ths may be 5.
            if number.grouped or not divisor:
                return None
            end = start + 3
            return value / divisor, end + (end < len(tokens) and tokens[end].text in {"th", "ths"})
        case ["^", *_] | ["**", *_] if value == 10:
            return _read_power(Fraction(1), tokens, start + 2)
        case [times, "10", "^" | "**", *_] if times in _TIMES:
            return _read_power(value, tokens, start + 4)
        case ["and", _, "/", _, *_]:
            return _read_mixed(value, tokens, start, start + 2)
        case [_, "/", _, *_]:
            return _read_mixed(value, tokens, start, start + 1)
    return value, start + 1


def _read_mixed(whole: Fraction, tokens: list[Token], start: int, place: int) -> tuple[Fraction, int] | None:
    """Returns the value of `1 1/2`: integers, and a proper fraction, for `1 100/200` may be 1100/200."""
    numerator, divisor = _plain_number(tokens, place), _plain_number(tokens, place + 2)
    if numerator is None or divisor is None:
        return whole, start + 1  # `5 km/h`
    are_integers = all(tokens[i].text.isdigit() for i in (start, place, place + 2))
    if not are_integers or tokens[start].grouped or not 0 < numerator < divisor:
        return None
    return whole + numerator / divisor, place + 3


def _read_power(factor: Fraction, tokens: list[Token], place: int) -> tuple[Fraction, int] | None:
    """Returns the value of a factor times a power of ten whose exponent, signed or not, stands at a place."""
    negative = place < len(tokens) and tokens[place].text == "-"
    place += negative or (place < len(tokens) and tokens[place].text == "+")
    exponent = _plain_number(tokens, place)
    if exponent is None or exponent > MAX_EXPONENT or not tokens[place].text.rstrip(".").isdigit():
        return None
    return factor * Fraction(10) ** int(-exponent if negative else exponent), place + 1


def _plain_number(tokens: list[Token], place: int) -> Fraction | None:
    if place >= len(tokens) or tokens[place].kind != "number" or tokens[place].grouped:
        return None
    return Fraction(tokens[place].text.rstrip("."))


def _read_scale(tokens: list[Token], place: int, *, is_money: bool) -> tuple[int, int]:
    """Returns what the number words from a place on multiply by (`2 hundred thousand`), and the place behind them."""
    scale = 1
    if place < len(tokens) and not tokens[place].spaced:
        # The second dollar sign of `$5m$` says that the first was no currency.
        is_money &= not any(token.kind == "currency" for token in tokens[place:])
        letters = words.MONEY_SCALES if is_money else words.LETTER_SCALES
        if (factor := letters.get(tokens[place].text)) is not None:
            return factor, place + 1
    while place < len(tokens) and (factor := words.SCALES.get(tokens[place].text.lower())) is not None:
        if scale > 10**MAX_EXPONENT:
            break
        scale *= factor
        place += 1
    return scale, place


def _read_sign(before: list[Token], number: Token) -> tuple[int, list[Token]] | None:
    """Returns 1 or -1 for the sign before a number, and the tokens before sign and currency; None for what is no sign.

    `is -5`, `-$5` and `$-5` are signed. `total - 5` and `total-5` are a difference or a dash.
    """
    rest = list(before)
    first, sign, behind_sign = number, None, number
    while rest and (rest[-1].kind == "currency" or rest[-1].text in {"-", "+"}):
        token = rest.pop()
        if token.kind == "symbol":
            if sign is not None:
                return None
            sign, behind_sign = token, first
        first = token
    previous = rest[-1].text.lower() if rest else ":"
    if sign is not None:
        stands_alone = previous in _OPENING or previous in words.COPULAS
        if not stands_alone and (behind_sign.spaced or not sign.spaced):
            return None
        return (-1 if sign.text == "-" else 1), rest
    if previous == "negative" or (previous == "minus" and (len(rest) == 1 or rest[-2].text.lower() in words.COPULAS)):
        return -1, rest[:-1]
    if rest and not first.spaced:
        is_name = rest[-1].kind == "word" and rest[-1].text[-1] < _FIRST_IDEOGRAPH  # A5, v2, x1
        if is_name or rest[-1].text == "—":  # —5 may mean -5
            return None
    return 1, rest


def _may_precede(before: list[Token]) -> bool:
    """Tells whether these words leave the number behind them as it is; those before `is` or `:` do."""
    if not before:
        return True
    if before[-1].text == "~":
        before = before[:-1]
    if not all(token.kind in {"word", "currency"} or token.text in _BEFORE for token in before):
        return False
    if len(before) > 1 and before[-1].text in "([{" and before[-2].kind == "word" and not before[-1].spaced:
        return False  # a function: sqrt(16)
    texts = [token.text.lower() for token in before]
    if not words.NEGATIONS.isdisjoint(texts):
        return False
    last_copula = max((place for place, text in enumerate(texts) if text in words.COPULAS), default=-1)
    near = [text for text in texts[last_copula + 1 :] if text not in _BEFORE]
    if any(text in words.MONTHS or _is_quantity(text, words.CARDINALS) for text in near):
        return False
    if not near:
        return True
    if near[-1] == "of" and not words.CHANGES_WITH_OF.isdisjoint(near):
        return False
    return near[-1] not in words.CHANGES_BEFORE and near[-2:] != ["up", "to"]


def _may_follow(behind: list[Token]) -> bool:
    """Tells whether these words leave the number before them as it is."""
    if not behind:
        return True
    first, *others = behind
    second = others[0] if others else None
    if first.text == "-" and not first.spaced:  # 5-inch
        if second is None or second.kind != "word" or second.spaced or len(second.text) == 1:
            return False
        behind = others
    elif first.text.lower() in words.CHANGES_BEHIND or first.text == "&":
        return False
    elif not first.spaced:
        if first.text in {"!", "(", "[", "{"} or first.text.startswith("..") or first.text[0] in "xXπ":
            return False
        if first.text in words.ORDINAL_ENDINGS:
            return False
    unit = behind[1] if behind[0].text == "/" and len(behind) > 1 else behind[0]  # 5 h, 5 /h, and not 5x, 5/x
    return all(_leaves_as_it_is(token, is_unit=token is unit, last=token is behind[-1]) for token in behind)


def _leaves_as_it_is(token: Token, *, is_unit: bool, last: bool) -> bool:
    if token.kind == "word":
        text = token.text.lower()
        if len(text) == 1 and text < _FIRST_IDEOGRAPH:
            return _is_unit_letter(token) or (text == "a" and token.spaced and not last) or not is_unit
        return text not in words.MONTHS and not _is_quantity(text, words.QUANTITIES)
    if token.kind == "symbol":
        return token.text in _BEHIND
    return token.kind in {"currency", "area"}


def _is_quantity(text: str, quantities: frozenset[str]) -> bool:
    return any(part in quantities for part in text.split("-")) or any(map(str.isnumeric, text))
