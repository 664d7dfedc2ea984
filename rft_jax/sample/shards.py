"""From missing shards to jobs, and from responses back to paths."""

import bisect
from collections.abc import Sequence

import numpy as np

from rft_jax.data.encode import Encoder
from rft_jax.records.path import Path
from rft_jax.sample.ledger import Shard, numbers
from rft_jax.sample.schedule import Job, Response


def jobs(missing: Sequence[Shard], prompts: Sequence[np.ndarray]) -> list[Job]:
    """Returns one job per problem, with all of its missing samples.

    Args:
        missing: shards to make.
        prompts: for each problem int32 [tokens].
    """
    wanted: dict[int, list[int]] = {}
    for shard in missing:
        for number, sample in numbers(shard):
            wanted.setdefault(number, []).append(sample)
    return [Job(number, prompts[number], tuple(sorted(samples))) for number, samples in sorted(wanted.items())]


def path_of(response: Response, encoder: Encoder, model: str) -> Path:
    """Returns the path of a response.

    Args:
        response: its tokens; an eos token gives no text.
        encoder: says what tokens say, and which texts of its template end a response before they begin.
        model: the model's name.
    """
    tokens = response.tokens.tolist()
    (text,) = encoder.texts([tokens[:-1] if response.ended else tokens])
    finish = "eos" if response.ended else "length"
    stops = [(text.index(stop), stop) for stop in encoder.template.stops if stop in text]
    if stops:
        end, stop = min(stops)
        text, finish = text[:end], "stop"
        # What was sampled beyond the stop is no part of the response.
        beginnings = range(len(tokens) + 1)
        tokens = tokens[: bisect.bisect(beginnings, False, key=lambda n: stop in encoder.texts([tokens[:n]])[0])]
    return Path(response.problem, response.sample, model, text, len(tokens), finish)
