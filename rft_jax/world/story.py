"""One problem of the world: its numbers, its people and things, its question, and any number of solutions."""

import dataclasses
import hashlib
import random
import re
from collections.abc import Callable, Mapping, Sequence

from rft_jax.world.expression import Expression, Number, commuted, compute, substitute, variables, write
from rft_jax.world.families import Family, Numbers, Step

# Name, and the words for it: he, him, his.
_MALE, _FEMALE = ("he", "him", "his"), ("she", "her", "her")
_PEOPLE = {
    "Tom": _MALE, "Sam": _MALE, "Ben": _MALE, "Leo": _MALE, "Max": _MALE, "Omar": _MALE,
    "Ann": _FEMALE, "Mia": _FEMALE, "Eva": _FEMALE, "Zoe": _FEMALE, "Ida": _FEMALE, "Rosa": _FEMALE,
}  # fmt: skip
_THINGS = (
    "apples", "pears", "eggs", "cards", "pens", "books", "shells", "coins", "cups", "balls", "stamps", "cookies",
    "roses", "toys", "nuts", "plums",
)  # fmt: skip

# How often a step disappears into the one that uses its result.
_MERGE = 0.1
_CHOICE = re.compile(r"\[([^][]*)\]")

# Takes the expression of a step, its value and the rng; returns what to write and to go on with instead.
Spoil = Callable[[Expression, int, random.Random], tuple[Expression, int]]


@dataclasses.dataclass(frozen=True)
class Story:
    """A problem before it is told.

    Attributes:
        family: where it comes from.
        numbers: of the problem, by the family's names.
        words: the other fields of tellings and sentences.
    """

    family: Family
    numbers: Numbers
    words: Mapping[str, str]

    @property
    def signature(self) -> str:
        """What makes it this problem: two stories that differ in words only have the same."""
        return f"{self.family.name} {sorted(self.numbers.items())}"

    def bucket(self, buckets: int) -> int:
        """Returns which of so many sets the problem belongs to: a function of the signature alone."""
        return int.from_bytes(hashlib.sha256(self.signature.encode()).digest()[:8], "big") % buckets


def draw(family: Family, rng: random.Random) -> Story:
    """Returns a problem of a family, with numbers, people and things."""
    name, other, third = rng.sample(sorted(_PEOPLE), 3)
    goods, wares = rng.sample(_THINGS, 2)
    he, him, his = _PEOPLE[name]
    words = {
        "name": name,
        "other": other,
        "third": third,
        "goods": goods,
        "wares": wares,
        "he": he,
        "him": him,
        "his": his,
    }
    words |= {word.capitalize(): text.capitalize() for word, text in words.items()}  # to begin a sentence with
    return Story(family, family.draw(rng), words)


def tell(story: Story, rng: random.Random) -> str:
    """Returns the question."""
    return _choose(rng.choice(story.family.tellings), rng).format(**story.words, **story.numbers)


def solve(story: Story, rng: random.Random, spoil: Spoil | None = None) -> str:
    """Returns a solution as GSM8K writes them: a right one, or one with steps that `spoil` changed.

    Raises:
        ArithmeticError: after a spoiled step a division leaves a rest.
    """
    while True:
        lines, values = [], dict(story.numbers)
        for step in _plan(story.family, rng):
            filled = substitute(step.expression, {name: Number(value) for name, value in values.items()})
            value = compute(filled)
            if spoil is not None:
                filled, value = spoil(filled, value, rng)
            values[step.result] = value
            equation = f"<<{write(filled)}={value}>>{value}"
            lines.append(_choose(step.sentences, rng).format(equation, **story.words))
        # In some orders something is taken away before it is there; nobody would write that.
        if min(values.values()) >= 0:
            return "\n".join([*lines, f"#### {values['answer']}"])
        if spoil is not None:
            raise ArithmeticError("a spoiled step went below 0")


def _plan(family: Family, rng: random.Random) -> list[Step]:
    """Returns the steps of one solution: a way, some steps merged, some operands swapped, in some order."""
    steps = _merged(rng.choice(family.solutions), rng)
    return _ordered([dataclasses.replace(step, expression=commuted(step.expression, rng)) for step in steps], rng)


def _merged(steps: Sequence[Step], rng: random.Random) -> list[Step]:
    """Returns the steps, some of them written into the one step that uses their result."""
    left = {step.result: step for step in steps}
    for result in [step.result for step in steps[:-1]]:
        users = [other.result for other in left.values() for name in variables(other.expression) if name == result]
        if len(users) == 1 and rng.random() < _MERGE:
            merged = left.pop(result)
            user = left[users[0]]
            expression = substitute(user.expression, {result: merged.expression})
            left[user.result] = dataclasses.replace(user, expression=expression)
    return list(left.values())


def _ordered(steps: list[Step], rng: random.Random) -> list[Step]:
    """Returns the steps in a random order in which each comes after those whose results it uses."""
    results = {step.result for step in steps}
    ordered: list[Step] = []
    while len(ordered) < len(steps):
        known = {step.result for step in ordered}
        ready = [
            step
            for step in steps
            if step.result not in known and results.intersection(variables(step.expression)) <= known
        ]
        ordered.append(rng.choice(ready))
    return ordered


def _choose(text: str, rng: random.Random) -> str:
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)
