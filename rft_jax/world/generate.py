"""Problem sets and the noisy corpus, each a function of its length and seed.

The sets never share a problem: a hash of family and numbers decides whether a problem is for testing, training or the
corpus. So no test problem is in the training set with other people and things either.
"""

import random
from collections.abc import Iterator
from typing import Literal

from rft_jax.records.problem import Problem
from rft_jax.world.expression import Expression, Number, Operation, compute, write
from rft_jax.world.families import FAMILIES
from rft_jax.world.story import Story, ask, draw, solve

Split = Literal["test", "train", "corpus"]

_BUCKETS: dict[str, range] = {"test": range(0, 4), "train": range(4, 8), "corpus": range(8, 16)}

_EXERCISES = 4  # per drill
TRIES = 10_000  # draws after which a family has no more problems
WRONG_STEPS = 0.25  # share of wrong steps in the corpus's problems


def problems(split: Split, count: int, seed: int) -> list[Problem]:
    """Returns distinct problems with gold answers, evenly spread over the families.

    Raises:
        ValueError: the world does not have that many.
    """
    rng = random.Random(f"{split} {seed}")
    return [Problem(ask(story, rng), solve(story, rng)) for story in stories(split, count, rng)]


def solutions(split: Split, count: int, seed: int, ways: int) -> list[set[str]]:
    """Returns up to `ways` right solutions for each problem that `problems` returns for the same arguments."""
    rng = random.Random(f"{split} {seed}")
    return [
        {solve(story, random.Random(f"{story.signature} {way}")) for way in range(ways)}
        for story in stories(split, count, rng)
    ]


def corpus(count: int, seed: int, drills: float) -> Iterator[Problem]:
    """Yields rows to pre-train on: drills, and problems with some wrong steps. Problems may repeat."""
    rng = random.Random(f"corpus {seed}")
    for _ in range(count):
        yield _drill(rng) if rng.random() < drills else _noisy_problem(rng)


def stories(split: Split, count: int, rng: random.Random) -> list[Story]:
    """Returns the stories of a set in random order; see `problems`."""
    found: dict[str, Story] = {}
    for number in range(count):
        for _ in range(TRIES):
            story = draw(FAMILIES[number % len(FAMILIES)], rng)
            if is_of(story, split) and story.signature not in found:
                found[story.signature] = story
                break
        else:
            raise ValueError(f"the family {FAMILIES[number % len(FAMILIES)].name} has fewer than {count} problems")
    order = list(found.values())
    rng.shuffle(order)
    return order


def is_of(story: Story, split: Split) -> bool:
    """Tells whether a story may be in a set."""
    return story.bucket(16) in _BUCKETS[split]


def _noisy_problem(rng: random.Random) -> Problem:
    while True:
        story = draw(rng.choice(FAMILIES), rng)
        if not is_of(story, "corpus"):
            continue
        try:
            return Problem(ask(story, rng), solve(story, rng, sometimes_wrong))
        except ArithmeticError:
            continue


def sometimes_wrong(expression: Expression, value: int, rng: random.Random) -> tuple[Expression, int]:
    """Returns a step with a wrong result, with a wrong operation, or mostly unchanged."""
    if rng.random() >= WRONG_STEPS:
        return expression, value
    if rng.random() < 0.5:
        return expression, max(0, value + rng.choice((-10, -2, -1, 1, 2, 10)))
    assert isinstance(expression, Operation)
    symbol = "-" if expression.symbol == "+" else "+"
    other = Operation(symbol, expression.left, expression.right)
    return other, compute(other)


def _drill(rng: random.Random) -> Problem:
    expressions = [_exercise(rng) for _ in range(_EXERCISES)]
    lines = [f"<<{write(each)}={compute(each)}>>{compute(each)}" for each in expressions]
    question = " ".join(map(write, expressions))
    return Problem(question, "\n".join([*lines, f"#### {compute(expressions[-1])}"]))


def _exercise(rng: random.Random) -> Expression:
    symbol = rng.choice("+-*/")
    if symbol in "*/":
        b = rng.randint(2, 9)
        a = rng.randint(2, 110 // b)
        a, b = (a * b, b) if symbol == "/" else rng.choice(((a, b), (b, a)))
    else:
        a = rng.randint(2, 100)
        b = rng.randint(2, 120 - a) if symbol == "+" else rng.randint(1, a)
    return Operation(symbol, Number(a), Number(b))
