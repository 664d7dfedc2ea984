"""Examples to train on: prompt and response tokenised together, and where in the tokens the response begins."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from rft_jax.errors import UserError

# The names of question and answer in a line: the reference's training format, and GSM8K's own.
FIELDS = (("query", "response"), ("question", "answer"))


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

    @property
    def fingerprint(self) -> str:
        """A hash of every token and mask: equal for equal training data, however it was written."""
        digest = hashlib.sha256()
        for part in (self.tokens, self.starts, self.prompts):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]


def read(path: str | Path) -> list[tuple[str, str]]:
    """Returns question and response of every line of a JSONL file.

    Raises:
        UserError: no such file, no line in it, or a line that is no JSON object or lacks question or response.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no training data at {path}; give --config.data=FILE, JSONL lines with query and response")
    with path.open(encoding="utf-8") as lines:
        pairs = [_pair(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    if not pairs:
        raise UserError(f"training data {path} is empty")
    return pairs


def _pair(line: str, where: str) -> tuple[str, str]:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error.msg} at column {error.colno})") from None
    if not isinstance(fields, dict):
        raise UserError(f"{where}: a line must be a JSON object, got {type(fields).__name__}")
    for question, response in FIELDS:
        if question in fields:
            for name in (question, response):
                if not isinstance(fields.get(name), str) or not fields[name].strip():
                    raise UserError(f"{where}: no {name}: a line needs text as '{question}' and '{response}'")
            return fields[question], fields[response]
    raise UserError(f"{where}: no question; a line needs 'query' and 'response', or 'question' and 'answer'")


def tokenise(
    pairs: Iterable[tuple[str, str]],
    encode: Callable[[Sequence[str]], Sequence[Sequence[int]]],
    *,
    begin: int | None,
    end: int,
    max_length: int,
) -> Examples:
    """Tokenises prompts and responses jointly, as they are seen when sampling ends (PAPER.md, trap 1).

    Args:
        pairs: prompt and response texts; the response follows the prompt without a space.
        encode: texts to token numbers, without special tokens.
        begin: the token before every prompt, or None where the model knows none.
        end: the token after every response.
        max_length: tokens kept of an example, from the left.

    Raises:
        UserError: no example has a token of its response left.
    """
    prompts, responses = zip(*pairs, strict=True)
    before = [] if begin is None else [begin]
    whole = encode([prompt + response for prompt, response in zip(prompts, responses, strict=True)])
    # The response begins after as many tokens as the prompt has alone, also where a tokenizer merges across the border.
    prompt_lengths = np.array([len(before) + len(tokens) for tokens in encode(list(prompts))], np.int32)
    rows = [[*before, *tokens, end] for tokens in whole]
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
