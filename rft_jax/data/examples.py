"""Examples to train on: prompt and response tokenised together, and where in the tokens the response begins."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from rft_jax.data.encode import Encoder
from rft_jax.errors import UserError
from rft_jax.records.problem import Problem


@dataclasses.dataclass(frozen=True)
class Examples:
    """Tokenised examples in the order of their file; an example's number is its line, from 0.

    Attributes:
        tokens: int32 [tokens of all examples], one example after the other: bos tokens, prompt, response, eos token.
        starts: int64 [examples + 1]; example i is tokens[starts[i] : starts[i + 1]].
        prompts: int32 [examples], tokens before the response; the loss is on what follows.
        cut: examples longer than the limit, which lost their right end and with it the eos token.
        emptied: those of them that lost their whole response; they stay in their batches and weigh nothing.
        merged: examples whose prompt is not token for token what is sampled from; only joint ones ever are.
    """

    tokens: np.ndarray
    starts: np.ndarray
    prompts: np.ndarray
    cut: int
    emptied: int
    merged: int

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
        """Tokens of each example that the loss is on, eos token included, int64 [examples]."""
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


def tokenise(problems: Sequence[Problem], encoder: Encoder, source: str, *, joint: bool, max_length: int) -> Examples:
    """Tokenises each problem's prompt and response; data of several turns are one example per turn of the assistant.

    Args:
        problems: what to train on.
        encoder: makes the tokens.
        source: their file, for messages.
        joint: as for `Encoder.examples`; then what is longer than `max_length` is cut at the right, as the reference
            does. Otherwise a row that does not fit is an error: it would never teach how to end.
        max_length: tokens of an example at most.

    Raises:
        UserError: see `Encoder.examples`; or a row is too long, or none has a token of its response left.
    """
    turns, rows = turns_of(problems, source)
    made = encoder.examples(turns, source, rows, joint=joint)
    lengths = np.array([len(example.tokens) for example in made], np.int64)
    prompts = np.array([example.loss_from for example in made], np.int32)
    if not joint and (lengths > max_length).any():
        first = int(np.argmax(lengths > max_length))
        raise UserError(
            f"{source}:{rows[first]}: the example has {lengths[first]} tokens, so its end token is beyond max_length "
            f"{max_length}, as in {(lengths > max_length).sum()} of {len(made)} examples: --config.max_length="
            f"{lengths.max()} keeps all whole (and --config.row_length at least as much), or remove those rows"
        )
    kept = np.minimum(lengths, max_length)
    if not (kept > prompts).any():
        raise UserError(
            f"at max_length {max_length} no example has any of its response left: the shortest prompt has "
            f"{prompts.min()} tokens, the longest example {lengths.max()}; raise max_length"
        )
    return Examples(
        tokens=np.concatenate([example.tokens[:max_length] for example in made]),
        starts=np.concatenate([[0], np.cumsum(kept)]).astype(np.int64),
        prompts=prompts,
        cut=int((lengths > max_length).sum()),
        emptied=int((kept <= prompts).sum()),
        merged=sum(example.merged for example in made),
    )


def turns_of(problems: Sequence[Problem], source: str) -> tuple[list[Problem], list[int]]:
    """Returns a problem per turn of the assistant, with what was said before it, and the line of each, from 1.

    Raises:
        UserError: a turn of the assistant does not follow one of the user.
    """
    turns: list[Problem] = []
    rows: list[int] = []
    for row, problem in enumerate(problems, start=1):
        for number, (role, content) in enumerate(problem.history if problem.train_history else ()):
            if role != "assistant":
                continue
            asked = problem.history[:number]
            if not asked or asked[-1][0] != "user":
                raise UserError(f"{source}:{row}: a turn of the assistant does not follow one of the user")
            turns.append(Problem(asked[-1][1], content, asked[:-1]))
            rows.append(row)
        turns.append(problem)
        rows.append(row)
    return turns, rows


def describe(examples: Examples, decode: Callable[[Sequence[int]], str]) -> str:
    """Returns what a person should check before a long run: what was cut, and the first example with its mask."""
    first, prompt = examples[0].tolist(), int(examples.prompts[0])
    as_the_reference = (
        f"{examples.cut} examples are cut and lose their end token, {examples.emptied} of them their whole response\n"
        f"{examples.merged} prompts are not the tokens that are sampled from: the tokenizer merges across their end\n"
    )
    return (
        f"{len(examples)} examples, {len(examples.tokens)} tokens, {int(examples.responses.sum())} of them trained on\n"
        f"{as_the_reference if examples.cut or examples.merged else ''}"
        f"first example, {prompt} tokens without loss: {decode(first[:prompt])!r}\n"
        f"  then {max(len(first) - prompt, 0)} tokens with loss: {decode(first[prompt:])!r}"
    )
