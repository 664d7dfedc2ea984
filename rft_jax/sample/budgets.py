"""What --config.budget means for sampling."""

from collections.abc import Sequence

from rft_jax.budget.outcome import Grading
from rft_jax.budget.parse import parse
from rft_jax.budget.policies import Policy, Uniform
from rft_jax.config import SampleConfig
from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.sample.sharing.adaptive import Adaptive
from rft_jax.sample.sharing.ledger import SAMPLES_PER_TILE

_AT_ONCE = 4  # samples that a policy asks for of a problem: first more, then mostly one at a time


def policy_of(config: SampleConfig, problems: int | None = None) -> Policy:
    """Returns the policy of a run.

    Args:
        config: of the run.
        problems: how many there are; None if that is not known yet.

    Raises:
        UserError: there is no such policy, or it cannot be kept.
    """
    policy = parse(config.budget, config.k, problems)
    if isinstance(policy, Uniform) and policy.samples != config.k:
        raise UserError(
            f"budget = {config.budget}: give --config.k={policy.samples} instead, the samples of each problem"
        )
    return policy


def is_uniform(config: SampleConfig) -> bool:
    """Returns whether every problem gets k samples, whatever comes of them; raises UserError as `policy_of` does."""
    return isinstance(policy_of(config), Uniform)


def adaptive(config: SampleConfig, problems: Sequence[Problem], task: str) -> Adaptive | None:
    """Returns the work of the run's budget, None where every problem gets k samples.

    Args:
        config: of the run.
        problems: with their gold answers.
        task: what is asked.

    Raises:
        UserError: the policy cannot be kept, or the gold answers cannot be read.
    """
    if is_uniform(config):
        return None
    return Adaptive(policy_of(config, len(problems)), Grading(problems, str(config.problems), task), len(problems))


def samples_at_once(config: SampleConfig) -> int:
    """Returns how many samples of one problem are jobs at the same time, mostly."""
    return min(config.k, SAMPLES_PER_TILE if is_uniform(config) else _AT_ONCE)
