"""Writes the world's problem sets and corpus."""

from pathlib import Path

from rft_jax.errors import UserError
from rft_jax.one_writer import filled
from rft_jax.records.lines import dump, write_lines
from rft_jax.records.problem import Problem, write_problems
from rft_jax.world import fresh as unseen
from rft_jax.world.generate import corpus, problems
from rft_jax.world.vocabulary import write_tokenizer

# Of the base model. The world's rows have at most about 140 tokens.
POSITIONS, VOCABULARY = 512, 1024
_WORDS_FROM = 4000  # corpus rows: enough to contain every word of the world


def write_problem_sets(
    folder: Path,
    *,
    train: int,
    test: int,
    seed: int,
    fresh: int = 0,
    variants: int = 0,
    templates: int = 1,
    fresh_seed: int = 0,
) -> None:
    """Writes train.jsonl and test.jsonl, fresh.jsonl and variants.jsonl, each if it is asked for; other files stay.

    Args:
        folder: to write to.
        train, test: number of problems; the test problems are the same for every seed, and at most the standard ones.
        seed: of the training problems.
        fresh: number of test problems that are none of the standard ones.
        variants: of each of the first test problems, or without any of as many as there are templates.
        templates: number of these.
        fresh_seed: of fresh problems and variants.

    Raises:
        UserError: the world does not have that many, and nothing is written; or the disk is full.
    """
    if test > unseen.STANDARD:
        raise UserError(unseen.too_many(test))
    sets: dict[str, list[Problem]] = {}
    try:
        if train:
            sets["train.jsonl"] = problems("train", train, seed)
        if test:
            sets["test.jsonl"] = problems("test", test, 0)
        if fresh:
            sets["fresh.jsonl"] = unseen.problems(fresh, fresh_seed)
        varied = unseen.variants(templates, variants, fresh_seed, test or templates) if variants else []
    except ValueError as error:
        raise UserError(str(error)) from None
    with filled(folder):
        for name, made in sets.items():
            write_problems(folder / name, made)
        if varied:
            write_lines(folder / "variants.jsonl", map(dump, varied))


def write_corpus(folder: Path, *, rows: int, seed: int, drills: float) -> None:
    """Writes corpus.jsonl, with a share of drills, and the tokenizer, which is the same for all arguments.

    Raises:
        UserError: the disk is full.
    """
    with filled(folder):
        write_problems(folder / "corpus.jsonl", corpus(rows, seed, drills))
        texts = (text for row in corpus(_WORDS_FROM, seed=0, drills=0.5) for text in (row.question, row.response))
        write_tokenizer(folder / "tokenizer", texts, VOCABULARY, POSITIONS)
