"""What is asked of the sampler, and what it gives back: tokens and numbers, no text."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Job:
    """Samples wanted of one problem.

    Attributes:
        problem: its number.
        prompt: int32 [tokens], without the prefix that all prompts share; at least one token.
        samples: their numbers, ascending.
        begun: int32 [tokens], what the sample, the only one, has already; it goes on from there.
        logprobs: fp32 [tokens, 2], of those tokens; None where they are not asked for.
    """

    problem: int
    prompt: np.ndarray
    samples: tuple[int, ...]
    begun: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    logprobs: np.ndarray | None = None


def split(job: Job, most: int) -> list[Job]:
    """Returns jobs of so many samples at most that ask for the same."""
    starts = range(0, len(job.samples), most)
    return [dataclasses.replace(job, samples=job.samples[start : start + most]) for start in starts]


@dataclasses.dataclass(frozen=True)
class Response:
    """One finished sample.

    Attributes:
        problem, sample: their numbers.
        tokens: int32 [tokens], an eos token included.
        ended: whether it ended with eos; otherwise it was cut at the limit, or at a stop text.
        logprobs: fp32 [tokens, 2], as `sampling.log_probabilities` gives them; None if they are not asked for.
    """

    problem: int
    sample: int
    tokens: np.ndarray
    ended: bool
    logprobs: np.ndarray | None = None
