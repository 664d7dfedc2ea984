"""What came of the samples of a round, problem by problem: all that its figures and later comparisons need."""

import dataclasses

import numpy as np

from rft_jax.budget.ledger import Ledger
from rft_jax.evidence.crossed import Array


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Of each problem, over its k samples. Lists, as they are in round.json.

    Attributes:
        right: how many are right.
        distinct: how many lists of equations the right ones have that may be selected.
        tokens: their lengths together.
        nats: minus the sum of their tokens' log-probabilities at the temperature of the samples; None: not known.
    """

    right: list[int]
    distinct: list[int]
    tokens: list[int]
    nats: list[float] | None

    @classmethod
    def of(cls, ledger: Ledger, nats: Array | None) -> "Outcomes":
        """Returns the outcomes of a finished run."""
        return cls(
            ledger.right.sum(1).tolist(),
            (ledger.keys.max(1) + 1).tolist(),  # keys are numbered from 0, and -1 is none
            ledger.tokens.sum(1).tolist(),
            None if nats is None else nats.tolist(),
        )

    def fault(self, problems: int, k: int) -> str | None:
        """Returns what cannot be so of these many problems and samples, or None."""
        if problems < 2 or k < 1:
            return f"{problems} problems with {k} samples each are no round"
        columns = {name: values for name, values in dataclasses.asdict(self).items() if values is not None}
        if short := next((name for name, values in columns.items() if len(values) != problems), None):
            return f'"{short}" has {len(columns[short]):,} numbers, not {problems:,}'
        right, distinct = np.array(self.right), np.array(self.distinct)
        fits = (right <= k) & (distinct >= 0) & (distinct <= right)
        if not fits.all() or min(self.tokens) < 0 or min(self.nats or [0]) < 0:
            return "its numbers cannot be those of a round"
        return None
