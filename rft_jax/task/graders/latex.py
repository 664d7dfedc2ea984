r"""The grader of LaTeX answers that does algebra: `(x+1)^2` is `x^2+2x+1`, `\frac{1}{\sqrt2}` is `\frac{\sqrt2}{2}`.

The library math-verify reads the LaTeX, in a process of its own that is killed when an answer keeps it busy too long.
"""

import dataclasses
import functools
import importlib.util
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from fractions import Fraction
from typing import Any

from rft_jax.errors import UserError
from rft_jax.task.answer_text import answer_text
from rft_jax.task.grader import Grader
from rft_jax.task.graders.latex_process import LatexProcess
from rft_jax.task.latex_text import normal, rational, split_percent, tidy, value_of_name, word

_MAX_REMEMBERED = 1 << 14
# Numbers in another base than ten, which the library takes for numbers in base ten.
_BASED = re.compile(r"[0-9A-F]{1,400}_\{?\s?[0-9]{1,2}\s?\}?")

# Degrees are left out at the end of an answer, but not where a function is taken of them.
_ANGLE_OF = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_DEGREES = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s?\^\s?\{?\s?\\circ\s?\}?")


@dataclasses.dataclass(frozen=True)
class Answer:
    r"""An answer by what it means.

    Attributes:
        form: its canonical form; answers of one form are equal values.
        also: forms of other answers that it equals, though they do not all equal each other: `y = 2x` equals `2x` and
            `50\%` equals 0.5, beside 50.
        text: as it was written, for people.
    """

    form: str
    also: frozenset[str] = dataclasses.field(compare=False)
    text: str = dataclasses.field(compare=False)

    def __str__(self) -> str:
        return self.text


class LatexGrader(Grader):
    r"""The answer that `boxed` finds, by what it means.

    Equal answers have one canonical form (latex_canonical.py), so that a selection and a vote need no comparison of
    pairs. Rational numbers are exact; other numbers agree to 25 digits; expressions agree where they are computed at
    three points. So 0.333 is not a third. `(1,2)` is a pair as well as an open interval, for they are written alike.
    What math-verify cannot read is compared as `boxed` does.

    The few pairs that may be called equal although being so is not transitive (`50\%` is 50, as in MATH, but also 0.5)
    are left to `equal`, and `vote` counts them together.
    """

    name = "latex"

    def __init__(self) -> None:
        """Raises UserError where math-verify is not installed."""
        if importlib.util.find_spec("math_verify") is None:
            raise UserError("the grader 'latex' needs the package math-verify: pip install 'rft-jax[latex]'")
        self._process = LatexProcess()
        # A model's samples repeat their answers; and what was killed once would be killed again.
        self._remembered = functools.lru_cache(maxsize=_MAX_REMEMBERED)(self._read)

    @property
    def killed(self) -> int:
        """How many answers took this process's child too long, or made it crash. They count as no answer."""
        return self._process.killed

    def parse(self, text: str) -> Answer | None:
        """Returns the answer, or None: there is none, or reading it took too long.

        Raises:
            UserError: math-verify cannot be started.
        """
        answer = answer_text(text)
        return None if answer is None else self._remembered(answer)

    def equal(self, answer: Any, gold: Any) -> bool:
        """Tells whether two answers mean the same."""
        return bool(answer.form == gold.form or answer.form in gold.also or gold.form in answer.also)

    def vote(self, answers: Iterable[Hashable | None]) -> Hashable | None:
        """Returns the answer that equals the most of them, the first seen among equals."""
        seen: dict[str, Answer] = {}
        also: defaultdict[str, set[str]] = defaultdict(set)
        votes: Counter[str] = Counter()
        for answer in answers:
            if isinstance(answer, Answer):
                seen.setdefault(answer.form, answer)
                also[answer.form] |= answer.also
                votes[answer.form] += 1

        def supporters(one: str) -> int:
            return sum(votes[form] for form in votes if form == one or form in also[one] or one in also[form])

        return max(seen.values(), key=lambda answer: supporters(answer.form), default=None)

    def stop(self) -> None:
        """Ends this process's child, which otherwise ends with the process. The next answer starts another."""
        self._process.stop()

    def _read(self, answer: str) -> Answer | None:
        without, percent = split_percent(answer)
        tidied = tidy(_DEGREES.sub(r"{\\frac{\1\\pi}{180}}", without) if _ANGLE_OF.search(without) else without)
        value = value_of_name(tidied)
        if not value:
            return None
        number = rational(value)
        if number is not None:
            return Answer(str(number), frozenset({str(number / 100)} if percent else ()), answer)
        plain = word(value)
        if plain is None and not _BASED.fullmatch(value):
            # `y = 2x` is an equation, while `f(x) = 2x` only names its right side.
            reply = self._process.ask(value if "(" in tidied[: -len(value)] else tidied)
            if reply is None:
                return None
            if reply.form is not None:
                also = set(reply.also)
                if percent and reply.form.lstrip("-").replace("/", "").isdecimal():
                    also.add(str(Fraction(reply.form) / 100))
                return Answer(reply.form, frozenset(also), answer)
        return Answer(plain or normal(value), frozenset(), answer)


GRADER = LatexGrader()
