"""A problem of the world: its numbers, people and things, its question, and any number of solutions."""

import dataclasses
import hashlib
import random
import re
from collections.abc import Callable, Mapping, Sequence

from rft_jax.world.expression import Expression, Number, commuted, compute, substitute, variables, write
from rft_jax.world.families import Family, Numbers, Step

# Names and their pronouns.
_MALE, _FEMALE = ("he", "him", "his"), ("she", "her", "her")
_PEOPLE = {
    "Tom": _MALE, "Sam": _MALE, "Ben": _MALE, "Leo": _MALE, "Max": _MALE, "Omar": _MALE,
    "Ann": _FEMALE, "Mia": _FEMALE, "Eva": _FEMALE, "Zoe": _FEMALE, "Ida": _FEMALE, "Rosa": _FEMALE,
}  # fmt: skip
_THINGS = (
    "apples", "pears", "eggs", "cards", "pens", "books", "shells", "coins", "cups", "balls", "stamps", "cookies",
    "roses", "toys", "nuts", "plums",
)  # fmt: skip

_MERGE = 0.1  # chance that a step is merged into the step that uses its result
_CHOICE = re.compile(r"\[([^][]*)\]")

# Takes a step's expression, its value and the rng; returns the expression to write and the value to continue with.
Spoil = Callable[[Expression, int, random.Random], tuple[Expression, int]]


@dataclasses.dataclass(frozen=True)
class Story:
    """A problem before it is put into words.

    Attributes:
        family: the family it belongs to.
        numbers: maps the family's names to numbers.
        words: the other fields of questions and sentences.
    """

    family: Family
    numbers: Numbers
    words: Mapping[str, str]

    @property
    def signature(self) -> str:
        """The identity of the problem: stories that differ only in words have the same signature."""
        return f"{self.family.name} {sorted(self.numbers.items())}"

    def bucket(self, buckets: int) -> int:
        """Returns which of so many buckets the problem falls into, by a hash of its signature."""
        return int.from_bytes(hashlib.sha256(self.signature.encode()).digest()[:8], "big") % buckets


def draw(family: Family, rng: random.Random) -> Story:
    """Draws a problem of a family: numbers, people and things."""
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
    words |= {word.capitalize(): text.capitalize() for word, text in words.items()}  # for the start of a sentence
    return Story(family, family.draw(rng), words)


def ask(story: Story, rng: random.Random) -> str:
    """Returns the question."""
    return _choose(rng.choice(story.family.questions), rng).format(**story.words, **story.numbers)


def solve(story: Story, rng: random.Random, spoil: Spoil | None = None) -> str:
    """Returns a solution in GSM8K's format: a right one, or one with steps changed by `spoil`.

    Raises:
        ArithmeticError: a spoiled step makes a later division inexact, or a result negative.
    """
    while (text := attempt(story, rng, spoil)) is None:
        if spoil is not None:
            raise ArithmeticError("a spoiled step went below 0")
    return text


def attempt(story: Story, rng: random.Random, spoil: Spoil | None = None) -> str | None:
    """Returns a solution as `solve` does, or None if its order of steps goes below 0.

    Way, order and wording depend on the family and the state of `rng` alone: stories of one family are solved alike
    from the same state.
    """
    lines, values = [], dict(story.numbers)
    for step in _plan(story.family, rng):
        filled = substitute(step.expression, {name: Number(value) for name, value in values.items()})
        value = compute(filled)
        if spoil is not None:
            filled, value = spoil(filled, value, rng)
        values[step.result] = value
        equation = f"<<{write(filled)}={value}>>{value}"
        lines.append(_choose(step.sentences, rng).format(equation, **story.words))
    # Some orders subtract before there is enough; nobody would write that.
    return "\n".join([*lines, f"#### {values['answer']}"]) if min(values.values()) >= 0 else None


def _plan(family: Family, rng: random.Random) -> list[Step]:
    """Returns the steps of a random solution, some of them merged, with operands swapped and steps reordered."""
    steps = _merged(rng.choice(family.solutions), rng)
    return _ordered([dataclasses.replace(step, expression=commuted(step.expression, rng)) for step in steps], rng)


def _merged(steps: Sequence[Step], rng: random.Random) -> list[Step]:
    """Returns the steps, some of them merged into the only step that uses their result."""
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
    """Returns the steps in a random order in which each follows those whose results it uses."""
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
