"""The world's problem sets: right, disjoint, reproducible, and solvable in several ways."""

import random

import pytest

from rft_jax.task.equations import all_hold, equation_list, find_equations
from rft_jax.task.graders import reference, robust
from rft_jax.world import generate
from rft_jax.world.families import FAMILIES
from rft_jax.world.generate import corpus, problems, solutions
from rft_jax.world.story import ask, draw, solve

TRAIN, TEST = problems("train", 512, 0), problems("test", 1024, 0)


@pytest.fixture(scope="module")
def ways():
    """Returns 20 right solutions of each of 240 training problems."""
    return solutions("train", 240, 0, 20)


def test_gold_answers_pass_graders_and_equation_check():
    for each in TRAIN + TEST:
        equations = find_equations(each.response)
        assert 1 <= len(equations) <= 4, each
        assert all_hold(equations), each
        # Both graders read the result of the last equation as the answer.
        last = equations[-1].split("=")[1]
        assert reference.GRADER.parse(each.response) == last, each
        assert robust.GRADER.parse(each.response) == int(last), each


def test_every_solution_of_a_problem_has_the_same_answer(ways):
    assert all(len({reference.GRADER.parse(response) for response in responses}) == 1 for responses in ways)
    assert all(all_hold(find_equations(response)) for responses in ways for response in responses)


def test_a_problem_has_several_equation_lists(ways):
    lists = [{equation_list(find_equations(response)) for response in responses} for responses in ways]
    assert min(map(len, lists)) >= 4
    assert sum(map(len, lists)) / len(lists) > 10


def test_gold_answers_use_different_solutions():
    """Within a family the operations come in many orders: otherwise sampling could find nothing new."""
    of_family = [each for each in TRAIN if "bike" in each.question]
    shapes = {
        "|".join("".join(c for c in equation if c in "+-*/") for equation in find_equations(each.response))
        for each in of_family
    }
    assert len(shapes) >= 5


def test_sets_share_no_problem_even_in_other_words():
    for family in FAMILIES:
        buckets = {
            split: {
                story.signature
                for seed in range(3)
                for story in generate.stories(split, 240, random.Random(seed))
                if story.family is family
            }
            for split in ("test", "train")
        }
        assert buckets["test"]
        assert not buckets["test"] & buckets["train"]
    assert not {each.question for each in TRAIN} & {each.question for each in TEST}
    assert not {each.question for each in corpus(3000, 0, drills=0.5)} & {each.question for each in TRAIN + TEST}
    assert len({each.question for each in TRAIN}) == len(TRAIN)


def test_words_do_not_change_the_set_of_a_problem():
    rng = random.Random(0)
    story = draw(FAMILIES[0], rng)
    other = draw(FAMILIES[0], rng)
    same = type(story)(story.family, story.numbers, other.words)
    assert ask(story, random.Random(1)) != ask(same, random.Random(1))
    assert story.bucket(16) == same.bucket(16)


def test_the_same_seed_makes_the_same_sets():
    assert problems("train", 100, 3) == problems("train", 100, 3) != problems("train", 100, 4)
    assert list(corpus(50, 3, drills=0.5)) == list(corpus(50, 3, drills=0.5))


def test_families_are_equally_frequent():
    stories = generate.stories("test", 120, random.Random(0))
    assert {family.name: sum(s.family is family for s in stories) for family in FAMILIES} == {
        family.name: 10 for family in FAMILIES
    }


def test_asking_for_too_many_is_an_error():
    with pytest.raises(ValueError, match="has fewer than"):
        problems("test", 50_000, 0)


def test_the_corpus_has_the_stated_share_of_wrong_steps():
    rows = list(corpus(4000, 1, drills=0.5))
    told = [row for row in rows if "." in row.question]
    assert 0.45 < len(told) / len(rows) < 0.55
    drills = [row for row in rows if "." not in row.question]
    assert all(all_hold(find_equations(row.response)) for row in drills)
    # Half of the wrong steps have a wrong result, so their equation does not hold.
    equations = [equation for row in told for equation in find_equations(row.response)]
    slips = sum(not all_hold([equation]) for equation in equations) / len(equations)
    assert generate.WRONG_STEPS / 2 - 0.03 < slips < generate.WRONG_STEPS / 2 + 0.03


def test_no_solution_goes_below_zero():
    for number, family in enumerate(FAMILIES):
        for seed in range(30):
            rng = random.Random(f"{number} {seed}")
            response = solve(draw(family, rng), rng)
            assert all(not equation.split("=")[1].startswith("-") for equation in find_equations(response))
