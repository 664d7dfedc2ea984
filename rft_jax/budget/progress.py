"""What a problem's first samples showed, kept up to date sample by sample."""

import dataclasses
from collections.abc import Hashable

from rft_jax.budget.outcome import Outcome


@dataclasses.dataclass(slots=True)
class Progress:
    """The counts over the samples 0 to `samples` - 1 of one problem, all that a policy may look at.

    Attributes:
        first: how many samples are the first pass.
        samples: how many were added.
        right: right ones among them.
        right_at_first: right ones among the first pass.
        tokens: of all of them.
        keys: key -> how many of them have it.
        singletons: how many keys came up exactly once.
    """

    first: int = 0
    samples: int = 0
    right: int = 0
    right_at_first: int = 0
    tokens: int = 0
    keys: dict[Hashable, int] = dataclasses.field(default_factory=dict)
    singletons: int = 0

    @property
    def distinct(self) -> int:
        """How many distinct right paths there are."""
        return len(self.keys)

    def add(self, outcome: Outcome) -> None:
        """Adds the next sample, number `samples`."""
        right, key, tokens = outcome
        if right:
            self.right += 1
            self.right_at_first += self.samples < self.first
        if key is not None:
            seen = self.keys[key] = self.keys.get(key, 0) + 1
            if seen <= 2:
                self.singletons += 1 if seen == 1 else -1
        self.tokens += tokens
        self.samples += 1
