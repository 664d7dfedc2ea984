"""Examples to train on: prompt and response tokenised together, and where in the tokens the response begins."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from rft_jax.errors import UserError
from rft_jax.records.problem import Problem
from rft_jax.task import prompt


@dataclasses.dataclass(frozen=True)
class Examples:
    """Tokenised examples in the order of their file; an example's number is its line, from 0.

    Attributes:
        tokens: int32 [tokens of all examples], one example after the other: begin token, prompt, response, end token.
        starts: int64 [examples + 1]; example i is tokens[starts[i] : starts[i + 1]].
        prompts: int32 [examples], tokens before the response; the loss is on what follows.
        cut: examples longer than the limit, which lost their right end and with it the end token.
        emptied: those of them that lost their whole response; they stay in their batches and weigh nothing.
    """

    tokens: np.ndarray
    starts: np.ndarray
    prompts: np.ndarray
    cut: int
    emptied: int

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.tokens[self.starts[number] : self.starts[number + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, int64 [examples]."""
        return np.diff(self.starts)

    @property
    def responses(self) -> np.ndarray:
        """Tokens of each example that the loss is on, end token included, int64 [examples]."""
        return np.maximum(self.lengths - self.prompts, 0)

    @functools.cached_property
    def prefix(self) -> np.ndarray:
        """The tokens that all examples begin with, int32; shorter than every prompt, and than every example's input."""
        longest = max(0, min(int(self.prompts.min()) - 1, int(self.lengths.min()) - 2))
        columns = self.tokens[self.starts[:-1, None] + np.arange(longest)]
        differs = (columns != columns[:1]).any(axis=0)
        return columns[0, : int(differs.argmax()) if differs.any() else longest]

    @property
    def fingerprint(self) -> str:
        """A hash of every token and mask: equal for equal training data, however it was written."""
        digest = hashlib.sha256()
        for part in (self.tokens, self.starts, self.prompts):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


def tokenise(
    problems: Sequence[Problem],
    encode: Callable[[list[str]], Sequence[Sequence[int]]],
    *,
    begin: int | None,
    end: int,
    max_length: int,
) -> Examples:
    """Tokenises each problem's prompt and response jointly, as the model will see them (PAPER.md, trap 1).

    Args:
        problems: what to train on.
        encode: texts to token numbers, without special tokens.
        begin: the token before every prompt, or None where the model knows none.
        end: the token after every response.
        max_length: tokens kept of an example, from the left.

    Raises:
        UserError: a response is empty, or no example has a token of its response left.
    """
    for line, problem in enumerate(problems, start=1):
        if not problem.response.strip():
            raise UserError(f"line {line} of the training data has an empty response: remove it")
    texts = [prompt.training_text(problem.question, problem.response) for problem in problems]
    before = [] if begin is None else [begin]
    rows = [[*before, *tokens, end] for tokens in encode([text for text, _ in texts])]
    # The response begins after as many tokens as the prompt has alone, also where a tokenizer merges across the border.
    prompts = encode([text[:characters] for text, characters in texts])
    prompt_lengths = np.array([len(before) + len(tokens) for tokens in prompts], np.int32)
    lengths = np.array([len(row) for row in rows], np.int64)
    kept = np.minimum(lengths, max_length)
    if not (kept > prompt_lengths).any():
        raise UserError(
            f"at max_length {max_length} no example has any of its response left: the shortest prompt has "
            f"{prompt_lengths.min()} tokens, the longest example {lengths.max()}; raise max_length"
        )
    return Examples(
        tokens=np.concatenate([np.array(row[:max_length], np.int32) for row in rows]),
        starts=np.concatenate([[0], np.cumsum(kept)]).astype(np.int64),
        prompts=prompt_lengths,
        cut=int((lengths > max_length).sum()),
        emptied=int((kept <= prompt_lengths).sum()),
    )


def describe(examples: Examples, decode: Callable[[Sequence[int]], str]) -> str:
    """Returns what a person should check before a long run: what was cut, and the first example with its mask."""
    first, prompt = examples[0].tolist(), int(examples.prompts[0])
    return (
        f"{len(examples)} examples, {len(examples.tokens)} tokens, {int(examples.responses.sum())} of them trained on\n"
        f"{examples.cut} examples are cut and lose their end token, {examples.emptied} of them their whole response\n"
        f"first example, {prompt} tokens without loss: {decode(first[:prompt])!r}\n"
        f"  then {max(len(first) - prompt, 0)} tokens with loss: {decode(first[prompt:])!r}"
    )
