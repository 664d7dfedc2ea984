"""Reads the arithmetic expressions at the two ends of a part of a line, next to its equals signs."""

import re
from typing import NamedTuple

_WORD = r"[^\W\d_]+(?:['/-][^\W\d_]+)*(?:\^[0-9])?"
_TOKEN = re.compile(
    rf"""[0-9]+:[0-9:]+                                   # a time, a ratio: unknown
    | [0-9]+[ ](?:and[ ])?[0-9]+/[0-9]+(?![0-9])          # 2 1/2, 2 and 1/2
    | [0-9]{{1,3}}(?:[, '][0-9]{{3}})+(?![0-9])(?:\.[0-9]+)?  # 1,000
    | [0-9]+(?:,[0-9]+)+                                  # 1,2,3: unknown
    | [0-9]+(?:\.[0-9]+)?
    | \.[0-9]+
    | \([^\W\d_]+(?:[ ][^\W\d_]+)*\)                      # (apples)
    | [A-Z][0-9]+                                         # a name
    | [-/]?{_WORD}(?:[ ]{_WORD})*[(_]?                    # a bracket at once: a function; a low line: an index
    | \*\* | [-+*/^][ ]?
    | \\[A-Za-z]+
    | [^\s$€£¥₹]                                          # currency signs do not count
    """,
    re.VERBOSE,
)
_GROUPED = re.compile(r"[, '](?=[0-9]{3}(?![0-9]))")
_NUMBER = re.compile(r"-?[0-9.]+%?")
_FRACTION = re.compile(r"\(?(?:[0-9]+\+)?[0-9]+/[0-9]+\)?")
_UNKNOWN = frozenset("\\|√!_∑∏∫π±∞")
_UNIT_LETTERS = frozenset("kmgLlhs")
_SHORT_UNITS = frozenset("km cm mm kg mg ml lb oz ft in hr mi am pm st nd rd th yd pt".split())  # noqa: SIM905
_WORDED = {"times": "*", "multiplied by": "*", "plus": "+", "minus": "-", "divided by": "/"}
_SHARE_OF = re.compile(r"of(?: (?:the|his|her|their|its|my|a|all|those|these))?")


class Side(NamedTuple):
    """An expression beside an equals sign.

    Attributes:
        text: in normal form: without spaces, units, currency signs and thousands commas.
        known: every operand is a number.
        doubtful: the signs around it leave its reading in doubt.
        label: it is a number with words around it, and may belong to them rather than to the equation, as in
            `The cost for 5 friends = 5 * 3`.
        lead: the words just before it.
        after_number: whether another number precedes those words.
        units: the words after each of its numbers.
    """

    text: str
    known: bool
    doubtful: bool
    label: bool
    lead: str
    after_number: bool
    units: tuple[str, ...]


class Part(NamedTuple):
    """The sides at the two ends of a part: one and the same object when the part is a single expression."""

    first: Side | None
    last: Side | None


def read_part(text: str) -> Part:
    """Returns the sides of a part; None where there is no expression next to the equals sign."""
    reader = _Reader()
    for token in _TOKEN.findall(text):
        reader.read(token)
    return reader.part()


class _Reader:
    """Reads the tokens of a part from left to right.

    Attributes:
        first: the first side; None before it ends, or when a stop precedes it.
        stopped: no further side can be the first.
        pieces: the expression so far.
        complete: it ends with an operand.
        brackets: the indices in `pieces` of the brackets that are still open.
        unit: the words since its last operand.
        tight: no spaces or words around its operators.
        worded: there are words where an operand should be.
        known, doubtful, lead, after_number, units: see `Side`.
    """

    def __init__(self) -> None:
        self.first: Side | None = None
        self.stopped = False
        self._begin()

    def _begin(self, lead: str = "", *, after_number: bool = False, known: bool = True, doubtful: bool = False) -> None:
        self.pieces: list[str] = []
        self.complete = False
        self.brackets: list[int] = []
        self.lead = lead
        self.after_number = after_number
        self.units: list[str] = []
        self.unit = ""
        self.tight = True
        self.worded = False
        self.known = known
        self.doubtful = doubtful

    def read(self, token: str) -> None:
        """Takes the next token."""
        sign = token[0]
        if sign in ".0123456789" and token != ".":
            self._number(token)
        elif sign.isalpha() or (len(token) > 1 and token[1] not in " *"):
            self._word(token)
        elif sign in "+-*/^":
            self._operator(token)
        elif sign in "([":
            if self.complete:
                self._stop(doubtful=True)
            self.brackets.append(len(self.pieces))
            self.pieces.append("(")
        elif sign in ")]":
            self._closing_bracket()
        elif sign == "%":
            if self.complete and not self.unit:
                self.pieces.append("%")
        elif sign in _UNKNOWN:
            self._unknown()
        elif sign != "'":
            self._stop()

    def _number(self, token: str) -> None:
        token = token.replace(" and ", " ")
        if "/" in token:
            self._mixed(token)
            return
        number = _GROUPED.sub("", token)
        if ":" in number or "," in number:
            self._unknown()
            return
        self._operand(number)
        # 0900 may be a time.
        self.doubtful |= number[0] == "0" and number[1:].isdigit()

    def _mixed(self, token: str) -> None:
        whole, share = token.split(" ")
        above, below = share.split("/")
        if len(above) > len(below) or (len(above) == len(below) and above >= below):  # two numbers: 3 and 4/2
            self._operand(whole)
            self._stop(doubtful=True)
            self.pieces += [above, "/"]
            self._operand(below)
        else:
            self._operand(f"({whole}+{share})")

    def _operand(self, text: str) -> None:
        if self.complete:
            if operator := self._operator_in_words():
                self.pieces.append(operator)
            elif self.unit or self.pieces[-1] != "%":  # otherwise it is modulo
                glued = len(self.unit) == 1 and self.unit != "a"  # 1e3
                self._stop(self.unit, after_number=True, known=not glued, doubtful=not self.unit)
        self.pieces.append(text)
        self.complete, self.unit = True, ""

    def _operator_in_words(self) -> str | None:
        if (self.pieces[-1] == "%" or "/" in self.pieces) and _SHARE_OF.fullmatch(self.unit):
            return "*"
        return _WORDED.get(self.unit)

    def _word(self, token: str) -> None:
        if token[0] == "\\":
            self._unknown()
            return
        if token[-1] in "0123456789" and "^" not in token:  # D3
            self._unknown()
            return
        if token[-1] in "(_":  # f(2), x_1
            self._unknown()
            if token[-1] == "(":
                self.brackets.append(len(self.pieces))
                self.pieces.append("(")
            return
        word = token.strip("-/()")
        self.doubtful |= token[0] == "-"
        if self.complete and not self.unit and word.startswith("percent"):
            self.pieces.append("%")
            word = word[7:].lstrip()
            if not word:
                return
        if self.complete:
            self.unit = f"{self.unit} {word}" if self.unit else word
        elif self.pieces:  # where an operand should be
            if self.pieces[-1] == "-" and len(word) > 1:  # = 15 - so he has…
                self._stop(word, known=False)
                return
            self.doubtful = self.worded = True
            self.known &= len(word) > 1
        else:
            self.lead = word

    def _operator(self, token: str) -> None:
        sign = "^" if token == "**" else token[0]
        if self.complete:
            self.tight &= not self.unit and len(token) == 1
            self._end_of_unit()
            self.pieces.append(sign)
            self.complete = False
        elif self.pieces:
            # The sign of an operand, or an operator after an operand that was a word.
            self.known &= sign in "+-" and not self.worded
            self.pieces.append(sign)
        elif sign == "-" and len(self.lead) != 1:
            self.doubtful |= bool(self.lead)
            self.pieces.append(sign)
        elif self.lead or (sign in "/^" and token != "**") or (self.stopped and sign == "+"):
            self.known = False  # the left operand is a word, or missing
        # Anything else marks a list item or bold type.

    def _end_of_unit(self) -> None:
        if self.unit and self.unit[1:2] in ("", " ") and not self.unit.startswith("a "):  # $5 a day
            self.known &= self.unit[0] in _UNIT_LETTERS  # otherwise a variable
            self.doubtful = True
        elif len(self.unit) == 2:
            self.doubtful |= self.unit not in _SHORT_UNITS
        if self.unit:
            self.units.append(self.unit)
            self.unit = ""

    def _closing_bracket(self) -> None:
        if not self.brackets:
            self._stop()
            return
        start = self.brackets.pop()
        if not self.complete:
            self._stop(known=False)
            return
        self._end_of_unit()
        if len(self.pieces) == start + 2:
            del self.pieces[start]
        else:
            self.pieces.append(")")

    def _unknown(self) -> None:
        if self.complete:
            # 2\pi, 3|: it belongs to both what precedes and what follows.
            self.known = False
            self._stop(known=False)
        self.known = False

    def _stop(self, lead: str = "", *, after_number: bool = False, known: bool = True, doubtful: bool = False) -> None:
        """Ends the expression; the next one begins."""
        doubtful |= bool(self.pieces) and not self.complete
        if not self.stopped:
            self.first = self._side()
            self.stopped = True
        self._begin(lead, after_number=after_number, known=known, doubtful=doubtful)

    def _side(self) -> Side | None:
        """Returns the expression up to its first open bracket, as the right side of an equation."""
        if self.brackets:
            del self.pieces[self.brackets[0] :]
            self.complete = bool(self.pieces) and self.pieces[-1][-1] not in "+-*/^"
        while self.pieces and not self.complete:
            # = 15 - so he…
            self.doubtful |= len(self.pieces) > 1 and self.pieces[-1] != "^"
            self.complete = self.pieces.pop()[-1] not in "+-*/^("
            self.complete = bool(self.pieces) and self.pieces[-1][-1] not in "+-*/^("
        if not self.pieces:
            return None
        text = "".join(self.pieces)
        label = bool(self.lead or self.unit) and _NUMBER.fullmatch(text) is not None
        label |= bool(self.unit) and self.tight and _FRACTION.fullmatch(text) is not None
        self._end_of_unit()
        return Side(text, self.known, self.doubtful, label, self.lead, self.after_number, tuple(self.units))

    def part(self) -> Part:
        """Returns the sides next to the equals signs before and after the part."""
        if not self.complete:
            return Part(self.first if self.stopped else self._side(), None)
        if self.brackets:
            # The last open bracket encloses the equation: (5 + 3 = 8).
            start = self.brackets[-1]
            self.doubtful |= start > 0 and self.pieces[start - 1] in "+-*/^("
            del self.pieces[: start + 1]
            self.stopped, self.brackets = True, []
        side = self._side()
        return Part(self.first if self.stopped else side, side)
