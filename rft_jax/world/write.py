"""Writes the world's problem sets and corpus."""

from pathlib import Path

from rft_jax.errors import UserError
from rft_jax.files import make_folder
from rft_jax.records.lines import dump, write_lines
from rft_jax.records.problem import write_problems
from rft_jax.world import fresh
from rft_jax.world.generate import corpus, problems
from rft_jax.world.vocabulary import write_tokenizer

# Of the base model. The world's rows have at most about 140 tokens.
POSITIONS, VOCABULARY = 512, 1024
_WORDS_FROM = 4000  # corpus rows: enough to contain every word of the world


def write_problem_sets(folder: Path, *, train: int, test: int, seed: int) -> None:
    """Writes train.jsonl and test.jsonl; the test problems are the same for every seed.

    Raises:
        UserError: the world does not have that many, or the disk is full.
    """
    make_folder(folder)
    try:
        sets = {"train.jsonl": problems("train", train, seed), "test.jsonl": problems("test", test, 0)}
    except ValueError as error:
        raise UserError(str(error)) from None
    for name, made in sets.items():
        write_problems(folder / name, made)


def write_fresh(folder: Path, *, count: int, seed: int, test: int) -> None:
    """Writes fresh.jsonl: test problems that are not among the `test` standard ones.

    Raises:
        UserError: the world does not have that many, or the disk is full.
    """
    if test > fresh.STANDARD:
        raise UserError(f"fresh problems are told apart from at most {fresh.STANDARD:,} test problems, not {test:,}")
    make_folder(folder)
    try:
        made = fresh.problems(count, seed)
    except ValueError as error:
        raise UserError(str(error)) from None
    write_problems(folder / "fresh.jsonl", made)


def write_variants(folder: Path, *, instances: int, templates: int, seed: int, test: int) -> None:
    """Writes variants.jsonl: variants of the first of `test` standard test problems; 0: of as many as there are
    templates.

    Raises:
        UserError: the world does not have that many, or the disk is full.
    """
    make_folder(folder)
    try:
        made = fresh.variants(templates, instances, seed, test or templates)
    except ValueError as error:
        raise UserError(str(error)) from None
    write_lines(folder / "variants.jsonl", map(dump, made))


def write_corpus(folder: Path, *, rows: int, seed: int, drills: float) -> None:
    """Writes corpus.jsonl, with a share of drills, and the tokenizer, which is the same for all arguments.

    Raises:
        UserError: the disk is full.
    """
    make_folder(folder)
    write_problems(folder / "corpus.jsonl", corpus(rows, seed, drills))
    texts = (text for row in corpus(_WORDS_FROM, seed=0, drills=0.5) for text in (row.question, row.response))
    write_tokenizer(folder / "tokenizer", texts, VOCABULARY, POSITIONS)
