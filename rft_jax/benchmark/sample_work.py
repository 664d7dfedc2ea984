"""The workloads that sampling is measured on: GSM8K's prompts, and forced response lengths of many shapes."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rft_jax.benchmark import tokenizer
from rft_jax.data.encode import Encoder
from rft_jax.errors import UserError
from rft_jax.records.problem import read_problems
from rft_jax.task.templates.shots import choose_shots

SHORTEST = 4
SPREAD = 0.25  # standard deviation of the log length among samples of one problem

# Takes gold lengths int [problems], k, the limit and a generator; returns int [problems, k], not yet cut to the limit.
Lengths = Callable[[np.ndarray, int, int, np.random.Generator], np.ndarray]


def around_gold(gold: np.ndarray, k: int, limit: int, random: np.random.Generator, factor: float = 1) -> np.ndarray:
    """Lengths that scatter around `factor` times each problem's gold length."""
    scattered = gold[:, None] * np.exp(SPREAD * random.standard_normal((len(gold), k)) - SPREAD**2 / 2)
    return np.round(factor * scattered)


def to_the_limit(gold: np.ndarray, k: int, limit: int, random: np.random.Generator) -> np.ndarray:
    """Responses that are all cut at the limit, as a model's that knows no end."""
    return np.full((len(gold), k), limit)


def heavy_tail(gold: np.ndarray, k: int, limit: int, random: np.random.Generator) -> np.ndarray:
    """Geometric lengths with the gold ones' mean, whatever the problem; one response in fifty goes to the limit."""
    lengths = random.geometric(1 / gold.mean(), (len(gold), k))
    return np.where(random.random(lengths.shape) < 0.02, limit, lengths)


def all_equal(gold: np.ndarray, k: int, limit: int, random: np.random.Generator) -> np.ndarray:
    """Lengths that are all the mean gold length."""
    return np.full((len(gold), k), round(gold.mean()))


@dataclasses.dataclass(frozen=True)
class Workload:
    """What to sample.

    Attributes:
        lengths: of the responses.
        problems, k: their number, and samples per problem. Those of 400 × 100 are more than engines do in their time.
        limit: tokens per response at most.
        temperature: 0 for the most likely token.
        shots: worked examples before each question.
        test: whether problems are GSM8K's test problems, where they are there.
        size: name of the architecture.
        batches: sizes of the static batches that a peer tries.
    """

    lengths: Lengths = around_gold
    problems: int = 400
    k: int = 100
    limit: int = 256
    temperature: float = 0.7
    shots: int = 0
    test: bool = False
    size: str = "bench-58m"
    batches: tuple[int, ...] = (8, 32)

    def work(self, prompts: list[list[int]], gold: np.ndarray, size: str | None = None) -> "Work":
        """Returns the workload on some problems.

        Args:
            prompts: token ids of each problem.
            gold: int [problems], tokens in each gold response.
            size: name of another architecture.
        """
        lengths = self.lengths(gold, self.k, self.limit, np.random.default_rng(0))
        return Work(
            size or self.size,
            prompts,
            np.clip(lengths, SHORTEST, self.limit).astype(int),
            # What sampling expects is what launch/sample.py would: nothing is known of what follows worked examples.
            np.full(len(gold), self.limit) if self.shots else gold,
            self.limit,
            self.temperature,
        )


_smol = functools.partial(
    Workload, to_the_limit, k=1, limit=160, temperature=0.0, test=True, size="smollm2-135m", batches=(16, 64)
)
WORKLOADS: dict[str, Workload] = {
    "gold": Workload(),
    "twice": Workload(functools.partial(around_gold, factor=2), limit=512),
    "limit": Workload(to_the_limit),
    "tail": Workload(heavy_tail, limit=1024, batches=(8, 16)),
    "equal": Workload(all_equal),
    "few_shot": Workload(limit=512, shots=8, batches=(4, 16)),
    "greedy": Workload(problems=1319, k=1, temperature=0.0, test=True),
    "many": Workload(problems=64, k=300),
    "smol_1": _smol(problems=1),
    "smol_8": _smol(problems=8),
    "smol_64": _smol(problems=64),
    "smol_1319": _smol(problems=1319),
    "smol_k16": _smol(problems=64, k=16, temperature=0.7),
}


@dataclasses.dataclass(frozen=True)
class Work:
    """A workload in tokens.

    Attributes:
        size: name of the architecture.
        prompts: token ids of each problem's prompt.
        lengths: int [problems, k], tokens in each response, including eos.
        expected: int [problems], what a sampler may think the lengths are.
        limit: tokens per response at most.
        temperature: 0 for the most likely token.
    """

    size: str
    prompts: list[list[int]]
    lengths: np.ndarray
    expected: np.ndarray
    limit: int
    temperature: float

    def save(self, file: Path) -> None:
        """Writes it as JSON."""
        fields = vars(self) | {"lengths": self.lengths.tolist(), "expected": self.expected.tolist()}
        file.write_text(json.dumps(fields), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> "Work":
        """Returns what `save` wrote."""
        fields = json.loads(file.read_text(encoding="utf-8"))
        arrays = {name: np.array(fields[name]) for name in ("lengths", "expected")}
        return cls(**fields | arrays)

    @property
    def summary(self) -> str:
        """A summary in words."""
        problems, k = self.lengths.shape
        prompts = np.mean([len(prompt) for prompt in self.prompts])
        return (
            f"{self.size}, {problems} × {k}, T {self.temperature:g}, prompts of {prompts:.0f} tokens on average, "
            f"responses of {self.lengths.mean():.0f}, limit {self.limit}"
        )


class Source:
    """Problems, and the tokenizer made for them."""

    def __init__(self, train_file: str) -> None:
        """Reads GSM8K's training problems, and the test problems where `test.jsonl` lies beside them.

        Raises:
            UserError: no training problems there, or a wrong row.
        """
        test_file = Path(train_file).with_name("test.jsonl")
        self._train_file, self._train = train_file, read_problems(train_file)
        self._test = read_problems(test_file) if test_file.is_file() else self._train
        self._encoder = tokenizer.encoder(self._train)

    def work(self, workload: Workload, size: str | None = None) -> Work:
        """Returns the workload on problems drawn from the files.

        Args:
            workload: to do.
            size: name of another architecture.

        Raises:
            UserError: there are too few problems.
        """
        known = self._test if workload.test else self._train
        if len(known) < max(workload.problems, workload.shots):
            raise UserError(f"{self._train_file}: {len(known)} problems, but a workload needs {workload.problems}")
        chosen = [known[number] for number in np.random.default_rng(0).permutation(len(known))[: workload.problems]]
        encoder = self._encoder
        if workload.shots:
            encoder = Encoder(
                encoder.tokenizer,
                choose_shots(self._train, workload.shots, seed=0),
                bos_tokens=encoder.bos_tokens,
                eos_token=encoder.eos_token,
                vocabulary=encoder.vocabulary,
            )
        prompts = [ids.tolist() for ids in encoder.prompts(chosen, self._train_file)]
        return workload.work(prompts, encoder.response_lengths([problem.response for problem in chosen]), size)
