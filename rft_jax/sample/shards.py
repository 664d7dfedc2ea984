"""From missing shards to jobs, and from responses back to whole shards of paths."""

import bisect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rft_jax.records.path import Path
from rft_jax.sample.ledger import Shard, numbers
from rft_jax.sample.schedule import Job, Response


def jobs(missing: Sequence[Shard], prompts: Sequence[np.ndarray]) -> list[Job]:
    """Returns one job a problem, with all samples of it that are missing.

    Args:
        missing: shards to make.
        prompts: for each problem int32 [tokens].
    """
    wanted: dict[int, list[int]] = {}
    for shard in missing:
        for number, sample in numbers(shard):
            wanted.setdefault(number, []).append(sample)
    return [Job(number, prompts[number], tuple(sorted(samples))) for number, samples in sorted(wanted.items())]


def path_of(response: Response, tokenizer: Any, model: str, stop_text: str | None) -> Path:
    """Returns the path of a response.

    Args:
        response: its tokens; the end token gives no text.
        tokenizer: a transformers tokenizer.
        model: the model's name.
        stop_text: the text ends before its first occurrence; None: nowhere.
    """
    tokens = response.tokens.tolist()
    text = tokenizer.decode(tokens[:-1] if response.ended else tokens, skip_special_tokens=True)
    finish = "eos" if response.ended else "length"
    if stop_text is not None and stop_text in text:
        text, finish = text[: text.index(stop_text)], "eos"
        # What was sampled beyond the stop is no part of the response.
        beginnings = range(len(tokens) + 1)
        tokens = tokens[: bisect.bisect(beginnings, False, key=lambda n: stop_text in tokenizer.decode(tokens[:n]))]
    return Path(response.problem, response.sample, model, text, len(tokens), finish)


class Collector:
    """Sorts paths into the shards that they belong to."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """Takes the shards to fill."""
        self._shard_of = {number: shard for shard in shards for number in numbers(shard)}
        self._paths: dict[Shard, list[Path]] = {shard: [] for shard in shards}

    def add(self, path: Path) -> Iterator[tuple[Shard, list[Path]]]:
        """Takes a path and yields its shard with all its paths, if it is whole now."""
        shard = self._shard_of[path.problem, path.sample]
        paths = self._paths[shard]
        paths.append(path)
        if len(paths) == shard.size:
            yield shard, self._paths.pop(shard)
