"""A share of the problems: a stage before the others, so that all of them read the same files."""

import dataclasses
from pathlib import Path

import numpy as np

from rft_jax.config import DrawStage, PipelineConfig, WorldStage
from rft_jax.data.fraction import in_use, shuffled
from rft_jax.errors import UserError
from rft_jax.files import refuse_to_replace
from rft_jax.one_writer import filled
from rft_jax.records.lines import dump, write_lines
from rft_jax.records.rows import read_rows

STAGE = "problems"
TRAIN, TEST = "train.jsonl", "test.jsonl"
_STREAM = 2**64 - 2  # of random numbers; training's epochs and fractions have others


def drawn(config: PipelineConfig) -> PipelineConfig:
    """Returns a config whose fractions are 1, with a stage that draws the problems where they were less."""
    if config.fraction == config.test_fraction == 1:
        return config
    stage = DrawStage(
        name=STAGE,
        train=config.problems,
        test=config.test,
        fraction=config.fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
    )
    worlds = [each for each in config.stages if isinstance(each, WorldStage)]  # it may draw from them
    return dataclasses.replace(
        config,
        problems=f"{STAGE}/{TRAIN}",
        test=f"{STAGE}/{TEST}",
        fraction=1.0,
        test_fraction=1.0,
        stages=(*worlds, stage, *(each for each in config.stages if not isinstance(each, WorldStage))),
    )


def write(folder: Path, *, train: str, test: str, fraction: float, test_fraction: float, seed: int) -> None:
    """Writes train.jsonl and test.jsonl, the rows as they are, in the order of the draw.

    So a smaller fraction is the beginning of a larger one, and its problems have the same numbers there.

    Args:
        folder: to write to.
        train, test: the problems, as `read_rows` takes them.
        fraction, test_fraction: shares, above 0 and at most 1.
        seed: of the training problems; the test problems are the same for every seed.

    Raises:
        UserError: a file is missing, wrong or empty, or is to be written as well, and nothing is written; or the
            disk is full.
    """
    refuse_to_replace([train, test], folder / TRAIN, folder / TEST)
    lines = {
        TRAIN: _share(train, fraction, seed),
        TEST: _share(test, test_fraction, 0),
    }
    with filled(folder):
        for name, chosen in lines.items():
            write_lines(folder / name, chosen)


def _share(source: str, fraction: float, seed: int) -> list[bytes]:
    """Returns the lines of a share of the rows."""
    rows = [fields for _, fields in read_rows(source)]
    if not rows:
        raise UserError(f"{source} holds no problem")
    chosen = shuffled(np.arange(len(rows)), seed, _STREAM)[: in_use(len(rows), fraction)]
    try:
        return [dump(rows[number]) for number in chosen.tolist()]
    except TypeError as error:
        raise UserError(f"{source} has a field that JSON cannot hold: {error}") from None
