"""The work that sampling is measured on: GSM8K's prompts, with response lengths like those of its gold answers."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from rft_jax.benchmark import tokenizer
from rft_jax.errors import UserError
from rft_jax.records.problem import read_problems

MAX_NEW = 256
# Standard deviation of the log length among samples of one problem.
SPREAD = 0.25


@dataclasses.dataclass(frozen=True)
class Work:
    """Prompts and lengths.

    Attributes:
        prompts: token ids of each problem's prompt.
        lengths: int [problems, k], tokens in each response, including eos.
    """

    prompts: list[list[int]]
    lengths: np.ndarray

    def save(self, file: Path) -> None:
        """Writes it as JSON."""
        file.write_text(json.dumps({"prompts": self.prompts, "lengths": self.lengths.tolist()}), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> "Work":
        """Returns what `save` wrote."""
        fields = json.loads(file.read_text(encoding="utf-8"))
        return cls(fields["prompts"], np.array(fields["lengths"]))

    @property
    def summary(self) -> str:
        """A summary in words."""
        prompts = np.array([len(prompt) for prompt in self.prompts])
        return (
            f"{len(self.prompts)} problems × {self.lengths.shape[1]} samples; prompts of {prompts.mean():.0f} tokens "
            f"on average, responses of {self.lengths.mean():.0f} (p90 {np.percentile(self.lengths, 90):.0f})"
        )


def make(problems_file: str, problems: int, k: int) -> Work:
    """Returns work on problems drawn from a file; lengths scatter around each problem's gold length.

    Raises:
        UserError: the file holds too few problems.
    """
    known = read_problems(problems_file)
    if len(known) < problems:
        raise UserError(f"{problems_file} holds {len(known)} problems, {problems} are asked for")
    encoder = tokenizer.encoder(known)
    random = np.random.default_rng(0)
    chosen = [known[number] for number in random.permutation(len(known))[:problems]]
    prompts = [ids.tolist() for ids in encoder.prompts(chosen, "work")]
    gold = encoder.response_lengths([problem.response for problem in chosen])
    scattered = gold[:, None] * np.exp(SPREAD * random.standard_normal((problems, k)) - SPREAD**2 / 2)
    return Work(prompts, np.clip(np.round(scattered), 4, MAX_NEW).astype(int))
