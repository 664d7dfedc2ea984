"""Fresh problems and variants: right, new, and of a template all alike but for numbers, people and things."""

import random
import re
import subprocess
import sys

import pytest

from rft_jax.errors import UserError
from rft_jax.evaluate import groups
from rft_jax.pipeline.stage_settings import root
from rft_jax.records.problem import read_problems
from rft_jax.task import task as tasks
from rft_jax.task.equations import all_hold, find_equations
from rft_jax.task.graders import reference
from rft_jax.world import fresh, story, write
from rft_jax.world.families import FAMILIES
from rft_jax.world.generate import corpus, problems, stories

TEMPLATES, INSTANCES = 24, 8


@pytest.fixture(scope="module")
def made():
    return fresh.problems(1200, 0)


@pytest.fixture(scope="module")
def rows():
    return fresh.variants(TEMPLATES, INSTANCES, seed=0, test=800)


def numbers(question):
    """Returns what tells problems apart whatever their words: the sentence without words, and the numbers."""
    return shape(question), tuple(re.findall(r"\d+", question))


def shape(text):
    """Returns a text without its numbers, people and things."""
    kinds = dict.fromkeys(story._PEOPLE, "Name") | dict.fromkeys(story._THINGS, "things")
    kinds |= {word: "pronoun" for pronouns in story._PEOPLE.values() for word in pronouns}
    kinds |= {word.capitalize(): kind for word, kind in kinds.items()}
    return re.sub(r"[A-Za-z]+|\d+", lambda word: "1" if word[0].isdecimal() else kinds.get(word[0], word[0]), text)


def test_fresh_problems_are_right_and_new(made):
    assert len({each.question for each in made}) == 1200
    for each in made:
        assert all_hold(find_equations(each.response))
        assert reference.GRADER.parse(each.response) == find_equations(each.response)[-1].split("=")[1]
    asked = {numbers(each.question) for each in made}
    assert len(asked) == 1200
    standard = {numbers(each.question) for each in [*problems("test", 1024, 0), *problems("test", 800, 0)]}
    trained = {numbers(each.question) for seed in range(3) for each in problems("train", 512, seed)}
    assert not asked & standard
    assert not asked & trained
    assert not asked & {numbers(row.question) for row in corpus(4000, 0, drills=0.0)}


def test_the_standard_problems_of_any_smaller_number_are_left_out():
    """`stories` draws in order, and shuffles what it has drawn."""
    few, many = ({each.signature for each in stories("test", n, random.Random("test 0"))} for n in (37, fresh.STANDARD))
    assert few < many == fresh._standard()


def test_fresh_problems_are_spread_over_the_families_as_far_as_these_last(made):
    def count(words, some=made):
        return sum(re.search(words, each.question) is not None for each in some)

    # *boxes* and *friends* have no more.
    assert [count("sold for|sells the rest"), count("times as many"), count("bike"), count("trees")] == [
        52,
        91,
        105,
        106,
    ]
    assert count("bike", fresh.problems(12 * len(FAMILIES), 1)) == 12


def test_the_seed_decides(made):
    assert fresh.problems(1200, 0) == made
    assert not {each.question for each in fresh.problems(100, 1)} & {each.question for each in fresh.problems(100, 2)}
    again, other = (fresh.variants(3, 2, seed, 800) for seed in (0, 1))
    assert again == fresh.variants(3, 2, 0, 800)
    assert [row["original_question"] for row in again] == [row["original_question"] for row in other]
    assert not {row["question"] for row in again} & {row["question"] for row in other}


def test_the_templates_are_the_first_test_problems(rows):
    first = problems("test", 800, 0)[:TEMPLATES]
    assert [(row["original_question"], row["original_answer"]) for row in rows[::INSTANCES]] == [
        (each.question, each.response) for each in first
    ]
    assert [(row["id"], row["instance"]) for row in rows] == [
        (template, instance) for template in range(TEMPLATES) for instance in range(INSTANCES)
    ]


def test_variants_differ_in_numbers_and_not_in_form(rows):
    standard = {numbers(each.question) for each in problems("test", 1024, 0)}
    for template in range(TEMPLATES):
        own = [row for row in rows if row["id"] == template]
        assert {shape(row["question"]) for row in own} == {shape(own[0]["original_question"])}
        assert {shape(row["answer"]) for row in own} == {shape(own[0]["original_answer"])}
        drawn = {numbers(row["question"]) for row in own}
        assert len(drawn) == INSTANCES
        assert not drawn & standard
    assert len({row["question"] for row in rows}) == len(rows)
    trained = {numbers(each.question) for seed in range(3) for each in problems("train", 512, seed)}
    assert not {numbers(row["question"]) for row in rows} & trained
    assert all(all_hold(find_equations(row["answer"])) for row in rows)


def test_they_are_read_as_gsm_symbolic_is(tmp_path):
    write.write_problem_sets(tmp_path, train=0, test=0, seed=0, variants=2, templates=3)
    file = tmp_path / "variants.jsonl"
    assert len(read_problems(file, tasks.load("gsm8k").reader)) == 6
    assert groups.read(str(file), ("id",), ()) == {"id": ["0", "0", "1", "1", "2", "2"]}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"variants": 1000, "templates": 12}, r"of the family .* has .* variants, not 1000"),
        ({"test": 4, "variants": 1, "templates": 5}, "5 templates are to be the first of 4 test problems"),
        ({"test": 1025}, "has 1,024 standard test problems, not 1,025: ask for fresh ones"),
        ({"train": 50_000}, "has fewer than 50000"),
    ],
)
def test_what_the_world_does_not_have_is_one_line_and_no_file(tmp_path, asked, told):
    with pytest.raises(UserError, match=told):
        write.write_problem_sets(tmp_path / "new", **{"train": 1, "test": 0, "seed": 0} | asked)
    assert not (tmp_path / "new").exists()


def test_each_file_is_there_if_it_is_asked_for(tmp_path):
    for name, asked, files in (
        ("a", {"train": 2}, {"train.jsonl"}),
        ("b", {"fresh": 3}, {"fresh.jsonl"}),
        ("c", {"test": 2, "variants": 2, "templates": 2}, {"test.jsonl", "variants.jsonl"}),
    ):
        write.write_problem_sets(tmp_path / name, **{"train": 0, "test": 0, "seed": 0} | asked)
        assert {file.name for file in (tmp_path / name).iterdir()} == files


def test_other_files_stay(tmp_path):
    write.write_problem_sets(tmp_path, train=0, test=3, seed=0)
    before = (tmp_path / "test.jsonl").read_bytes()
    write.write_problem_sets(tmp_path, train=2, test=0, seed=0)
    assert (tmp_path / "test.jsonl").read_bytes() == before
    assert len(read_problems(tmp_path / "train.jsonl")) == 2


@pytest.mark.parametrize("counts", [(), ("--train=0", "--variants=0")])
def test_a_command_that_asks_for_nothing_is_a_mistake(tmp_path, counts):
    command = [sys.executable, str(root() / "launch" / "make_problems.py"), *counts, f"--output={tmp_path / 'new'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nothing to make" in done.stderr
    assert not (tmp_path / "new").exists()
