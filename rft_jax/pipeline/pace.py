"""How fast stages go: assumed from what a kind of hardware can do at best. `measured.py` has what this machine does."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from rft_jax.config import SampleConfig, TrainConfig
from rft_jax.hardware import HARDWARE
from rft_jax.model.architecture import LlamaConfig
from rft_jax.records.problem import Problem

# The shares of a device's best that training and decoding achieve.
_TRAINING, _DECODING = 0.5, 0.3
_STARTING = 15.0  # seconds before a command starts computing
_PROMPT_CHARACTERS, RESPONSE_CHARACTERS = 3.5, 2.2  # per token
_TEMPLATE = 30  # tokens


@dataclasses.dataclass(frozen=True)
class MeanLengths:
    """Of a set of problems.

    Attributes:
        problems: how many there are.
        prompt, response: tokens on average.
    """

    problems: int
    prompt: float
    response: float

    @classmethod
    def of(cls, problems: Sequence[Problem], count: int | None = None) -> "MeanLengths":
        """Estimates from the characters of problems, of which there will be `count` if they are only examples."""
        prompt = sum(len(problem.question) for problem in problems) / len(problems) / _PROMPT_CHARACTERS + _TEMPLATE
        response = sum(len(problem.response) for problem in problems) / len(problems) / RESPONSE_CHARACTERS
        return cls(len(problems) if count is None else count, prompt, response)


class Pace(Protocol):
    """What an estimate needs to know of the machine."""

    @property
    def starting(self) -> float:
        """Seconds before a command starts computing."""

    @property
    def on_cpu(self) -> bool:
        """Whether it is a CPU, where compute=auto is float32."""

    def lengths(self, problems: Sequence[Problem], count: int) -> MeanLengths:
        """Returns the lengths of `count` problems like these."""

    def training(self, config: TrainConfig, model: LlamaConfig, tokens: float) -> float:
        """Returns the seconds of a training run on so many tokens, without `starting`."""

    def sampling(self, config: SampleConfig, model: LlamaConfig, of: MeanLengths, k: int) -> float:
        """Returns the seconds of sampling k paths of each problem, without `starting`."""


@dataclasses.dataclass(frozen=True)
class Assumed:
    """The pace of hardware that need not be here.

    Attributes:
        hardware: a key of HARDWARE.
        chips: number of devices (of cores, for cpu).
    """

    hardware: str
    chips: int
    starting: float = _STARTING

    @property
    def on_cpu(self) -> bool:
        """Whether it is a CPU."""
        return self.hardware == "cpu"

    @property
    def _speed(self) -> float:
        return HARDWARE[self.hardware].best * self.chips

    def lengths(self, problems: Sequence[Problem], count: int) -> MeanLengths:
        """Returns the lengths of `count` problems like these, estimated from their characters."""
        return MeanLengths.of(problems, count)

    def training(self, config: TrainConfig, model: LlamaConfig, tokens: float) -> float:
        """Returns the seconds of a training run on so many tokens."""
        return training_flops(model, tokens) / (self._speed * _TRAINING)

    def sampling(self, config: SampleConfig, model: LlamaConfig, of: MeanLengths, k: int) -> float:
        """Returns the seconds of sampling k paths of each problem."""
        return sampling_flops(model, of, k) / (self._speed * _DECODING)


def training_flops(model: LlamaConfig, tokens: float) -> float:
    """Returns the operations of training, as the paper counts them (section 3.1)."""
    return 6 * model.parameters * tokens


def sampling_flops(model: LlamaConfig, of: MeanLengths, k: int) -> float:
    """Returns the operations of decoding k paths of each problem, as the paper counts them (section 3.1)."""
    position = of.prompt + of.response / 2
    return (
        of.problems
        * k
        * of.response
        * (1.66 * model.parameters + 2 * model.layers * position * model.heads * model.head_width)
    )
