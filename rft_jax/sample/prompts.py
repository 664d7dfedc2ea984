"""Prompts as tokens, split into the prefix that all share and the rest of each."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from rft_jax.errors import UserError

WORTHWHILE = 16  # the shortest prefix that pays for its own part of attention


@dataclasses.dataclass(frozen=True)
class Prompts:
    """The prompts of a run.

    Attributes:
        prefix: int32 [tokens], what all of them begin with; may be empty.
        own: for each problem int32 [tokens], what follows; at least one token.
    """

    prefix: np.ndarray
    own: list[np.ndarray]

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt, without the prefix."""
        return max(len(own) for own in self.own)


def fit(prompts: Sequence[np.ndarray], *, keep: int | None, max_new: int, positions: int) -> list[np.ndarray]:
    """Cuts prompts at the left, and makes sure that they fit the model with what follows.

    Args:
        prompts: each int32 [tokens].
        keep: only the last tokens of a longer prompt are kept, as the reference does (256); None keeps all.
        max_new: tokens that will follow.
        positions: of the model.

    Raises:
        UserError: a prompt is longer than the model's positions with what follows.
    """
    if max_new >= positions:
        raise UserError(f"max_new_tokens = {max_new}, but the model has {positions} positions, for the prompt as well")
    kept = [ids if keep is None else ids[-keep:] for ids in prompts]
    for number, ids in enumerate(kept):
        if len(ids) + max_new > positions:
            raise UserError(
                f"the prompt of problem {number} has {len(ids)} tokens and up to {max_new} follow, but the model has "
                f"{positions} positions: set --config.prompt_tokens={positions - max_new} to keep the last, "
                "or a smaller --config.max_new_tokens"
            )
    return kept


def split(tokens: list[np.ndarray]) -> Prompts:
    """Splits off the prefix that all prompts share, if it is at least WORTHWHILE tokens long."""
    limit = min(len(ids) for ids in tokens) - 1
    head = np.stack([ids[:limit] for ids in tokens])
    differs = np.flatnonzero(np.any(head != head[:1], axis=0))
    shared = int(differs[0]) if len(differs) else limit
    if shared < WORTHWHILE:
        shared = 0
    return Prompts(tokens[0][:shared], [ids[shared:] for ids in tokens])


def fingerprint(prompts: Iterable[np.ndarray]) -> str:
    """Returns a hash of prompts, each int32 [tokens], in their order."""
    digest = hashlib.sha256()
    for tokens in prompts:
        digest.update(np.int64(len(tokens)).tobytes() + tokens.tobytes())
    return digest.hexdigest()[:16]
