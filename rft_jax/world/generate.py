"""Problem sets and the noisy corpus, each a function of its size and seed.

The sets never share a problem: family and numbers together decide by a hash whether a problem is for testing, training
or the corpus. So a test problem with other people and things is not among the training problems either.
"""

import random
from collections.abc import Iterator
from typing import Literal

from rft_jax.records.problem import Problem
from rft_jax.world.expression import Expression, Number, Operation, compute, write
from rft_jax.world.families import FAMILIES
from rft_jax.world.story import Story, draw, solve, tell

Split = Literal["test", "train", "corpus"]

_BUCKETS: dict[str, range] = {"test": range(0, 4), "train": range(4, 8), "corpus": range(8, 16)}

# Of the corpus: exercises in a drill, and steps of the other rows that are wrong.
_EXERCISES = 4
WRONG_STEPS = 0.25


def problems(split: Split, count: int, seed: int) -> list[Problem]:
    """Returns problems with gold answers; each family as often as any other, no problem twice.

    Raises:
        ValueError: the world does not have so many.
    """
    rng = random.Random(f"{split} {seed}")
    return [Problem(tell(story, rng), solve(story, rng)) for story in stories(split, count, rng)]


def solutions(split: Split, count: int, seed: int, ways: int) -> list[set[str]]:
    """Returns up to `ways` right solutions of each of the problems that `problems` returns first."""
    rng = random.Random(f"{split} {seed}")
    return [
        {solve(story, random.Random(f"{story.signature} {way}")) for way in range(ways)}
        for story in stories(split, count, rng)
    ]


def corpus(count: int, seed: int, drills: float) -> Iterator[Problem]:
    """Yields rows to pre-train on: a share of drills, and problems of whose steps a share is wrong. Problems repeat."""
    rng = random.Random(f"corpus {seed}")
    for _ in range(count):
        yield _drill(rng) if rng.random() < drills else _noisy_problem(rng)


def stories(split: Split, count: int, rng: random.Random) -> list[Story]:
    """Returns the stories of a set, in random order; see `problems`."""
    found: dict[str, Story] = {}
    for number in range(count):
        for _ in range(10_000):
            story = draw(FAMILIES[number % len(FAMILIES)], rng)
            if story.bucket(16) in _BUCKETS[split] and story.signature not in found:
                found[story.signature] = story
                break
        else:
            raise ValueError(f"the family {FAMILIES[number % len(FAMILIES)].name} has fewer than {count} problems")
    order = list(found.values())
    rng.shuffle(order)
    return order


def _noisy_problem(rng: random.Random) -> Problem:
    while True:
        story = draw(rng.choice(FAMILIES), rng)
        if story.bucket(16) not in _BUCKETS["corpus"]:
            continue
        try:
            return Problem(tell(story, rng), solve(story, rng, sometimes_wrong))
        except ArithmeticError:
            continue


def sometimes_wrong(expression: Expression, value: int, rng: random.Random) -> tuple[Expression, int]:
    """Makes a slip of the pen, takes the wrong operation, or leaves all as it is."""
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
