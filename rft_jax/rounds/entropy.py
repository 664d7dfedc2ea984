"""How uncertain a model was of the tokens that it sampled, from their log-probabilities.

Given what stands before it, minus the log-probability of a sampled token is an unbiased estimate of the entropy of the
distribution that it was drawn from; summed over a path, of the entropy of the path as far as it goes (the chain rule).
So the sum over all paths, divided by the number of their tokens, estimates the entropy per token at the temperature of
the samples, averaged over what was sampled, by Monte Carlo: a ratio of two unbiased sums. With top-k, top-p or min-p
the tokens are drawn from another distribution than the one that is written down, so there is no estimate.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from rft_jax.errors import UserError
from rft_jax.evidence.crossed import Array
from rft_jax.records.path import read_paths

_FILTERS = ("top_k", "top_p", "min_p")
ASK = "sample with --config.logprobs=True"


def nats(files: Sequence[str], problems: int, settings: Mapping[str, Any] | None) -> tuple[Array | None, str]:
    """Returns minus the sum of the log-probabilities of each problem's tokens, or None and the reason.

    Args:
        files: of paths.
        problems: how many there are.
        settings: of the samples, from the manifest; None: not known.

    Raises:
        UserError: a line is wrong, a path has not as many log-probabilities as tokens, or some paths have none while
            others do.
    """
    if settings is None:
        return None, "no manifest tells whether a filter was on when the paths were sampled"
    if on := [name for name in _FILTERS if settings.get(name) is not None]:
        return None, f"the tokens were drawn with {' and '.join(on)}, and their log-probabilities are those before"
    sums = np.zeros(problems)
    known = {True: "", False: ""}  # whether a path has log-probabilities -> the first such
    for file in tqdm(files, desc="entropy", unit="file", disable=None):
        for path in read_paths(file, problems):
            place = f"sample {path.sample} of problem {path.problem} in {file}"
            known[path.logprobs is not None] = known[path.logprobs is not None] or place
            if known[True] and known[False]:
                raise UserError(f"{known[False]} has no log-probabilities, and {known[True]} has: sample all with them")
            if path.logprobs is None:
                return None, f"the paths have no log-probabilities: {ASK}"
            drawn = path.logprobs.sampled
            if len(drawn) != path.tokens:
                raise UserError(f"{place} has {path.tokens} tokens and {len(drawn)} log-probabilities")
            if not all(math.isfinite(each) and each <= 0 for each in drawn):
                raise UserError(f"{place} has a log-probability that is none: they are finite, and at most 0")
            sums[path.problem] -= math.fsum(drawn)
    return sums, ""
