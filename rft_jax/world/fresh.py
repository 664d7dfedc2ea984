"""Test problems that no choice was made on, and variants of test problems: numbers, names and things drawn anew.

Neither is ever a training problem or in the corpus, and both leave out the standard test problems.
"""

import functools
import random
from collections.abc import Iterator
from typing import Any

from rft_jax.records.problem import Problem
from rft_jax.world import generate
from rft_jax.world.families import FAMILIES, Family
from rft_jax.world.story import Story, ask, attempt, draw, solve

STANDARD = 1024  # of more test problems, some would be among the fresh ones, whoever made these and where


def too_many(test: int) -> str:
    """Returns what is to be told of more test problems than the standard ones."""
    return f"the world has {STANDARD:,} standard test problems, not {test:,}: ask for fresh ones beside them (--fresh)"


@functools.cache
def _standard() -> frozenset[str]:
    """Returns the signatures of the standard test problems: those of any smaller number are among them."""
    return frozenset(story.signature for story in generate.stories("test", STANDARD, random.Random("test 0")))


def problems(count: int, seed: int) -> list[Problem]:
    """Returns distinct test problems that are none of the standard ones, in random order.

    They are spread over the families as evenly as these have problems left.

    Raises:
        ValueError: the world does not have that many.
    """
    rng = random.Random(f"fresh {seed}")
    found: list[Story] = []
    left = {family: _new_stories(family, rng, set(_standard())) for family in FAMILIES}
    while len(found) < count:
        for family in list(left)[: count - len(found)]:
            if (story := next(left[family], None)) is None:
                del left[family]
            else:
                found.append(story)
        if not left and len(found) < count:
            raise ValueError(f"the world has about {len(found):,} fresh problems, not {count:,}")
    rng.shuffle(found)
    return [Problem(ask(story, rng), solve(story, rng)) for story in found]


def _new_stories(family: Family, rng: random.Random, known: set[str]) -> Iterator[Story]:
    """Yields test stories whose signatures are not known, and adds them to those, until no more are found."""
    tries = 0
    while tries < generate.TRIES:
        story = draw(family, rng)
        tries += 1
        if generate.is_of(story, "test") and story.signature not in known:
            known.add(story.signature)
            yield story
            tries = 0


def variants(templates: int, instances: int, seed: int, test: int) -> list[dict[str, Any]]:
    """Returns variants of the first test problems, as rows in GSM-Symbolic's form (arXiv 2410.05229).

    A variant has its template's family, wording, and way and order of steps; numbers, people and things are others.
    The template itself, "original_question", is no instance. Within a template all instances have different numbers;
    those of two templates of one family may have the same, in other words.

    Args:
        templates: how many problems to vary.
        instances: variants of each.
        seed: of the variants.
        test: how many test problems there are, of which the templates are the first.

    Raises:
        ValueError: there are fewer test problems, or a template has fewer variants.
    """
    if templates > test:
        raise ValueError(f"{templates:,} templates are to be the first of {test:,} test problems")
    rng = random.Random("test 0")  # as `generate.problems` has it
    rows: list[dict[str, Any]] = []
    asked: set[str] = set()
    for number, story in enumerate(generate.stories("test", test, rng)[:templates]):
        wording = rng.getstate()
        question = ask(story, rng)
        way = rng.getstate()
        while (answer := attempt(story, rng)) is None:
            way = rng.getstate()
        found = _instances(story.family, wording, way, random.Random(f"variants {seed} {number}"), asked)
        for instance in range(instances):
            if (made := next(found, None)) is None:
                of = f"test problem {number}, of the family {story.family.name},"
                raise ValueError(f"{of} has {instance} variants, not {instances}")
            rows.append(
                {
                    "id": number, "instance": instance, "question": made.question, "answer": made.response,
                    "original_id": number, "original_question": question, "original_answer": answer,
                }
            )  # fmt: skip
    return rows


def _instances(family: Family, wording: Any, way: Any, rng: random.Random, asked: set[str]) -> Iterator[Problem]:
    """Yields problems that are put in the same words and solved in the same way, and adds them to those asked."""
    for story in _new_stories(family, rng, set(_standard())):
        question, answer = ask(story, _at(wording)), attempt(story, _at(way))
        if answer is not None and question not in asked:
            asked.add(question)
            yield Problem(question, answer)


def _at(state: Any) -> random.Random:
    rng = random.Random()
    rng.setstate(state)
    return rng
