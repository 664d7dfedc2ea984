"""The decisions of a run: what the sampler, or a replay, asks as paths come back."""

from collections.abc import Sequence

from rft_jax.budget.outcome import Outcome
from rft_jax.budget.policies import Local, Policy, Tokens
from rft_jax.budget.progress import Progress
from rft_jax.budget.rounds import Rounds

Wanted = list[tuple[int, range]]  # problems, and the numbers of their samples


class Decisions:
    """Which samples a policy asks for. The same outcomes give the same decisions, in whatever order they are put.

    A worker makes one, samples what `start` returns, puts the outcome of every path that is there, its own and the
    others', and samples what comes back from `put`. Paths that are there already, of a run that was killed or of a
    larger budget, are put first; they count once they are asked for.
    """

    def __init__(self, policy: Policy, problems: int) -> None:
        """Starts without outcomes.

        Args:
            policy: that decides.
            problems: how many there are.

        Raises:
            UserError: the policy's total is too small for so many problems.
        """
        self.policy = policy
        self._of: _Locally | Rounds
        match policy:
            case Local():
                self._of = _Locally(policy, problems)
            case Tokens():
                self._of = Rounds(policy, problems)
            case _:
                raise TypeError(f"no decisions by {type(policy).__name__}")

    def start(self) -> Wanted:
        """Returns the samples that are asked for so far: problems, and the numbers of their samples."""
        return [(problem, range(wanted)) for problem, wanted in enumerate(self.wanted) if wanted]

    def put(self, problem: int, sample: int, outcome: Outcome) -> Wanted:
        """Takes note of what came of a sample; a second time changes nothing.

        Returns:
            The samples that are asked for on top of those before, mostly none; some of them may have been put already.
        """
        return self._of.put(problem, sample, outcome)

    @property
    def wanted(self) -> Sequence[int]:
        """How many samples of each problem are asked for so far: when `done`, how many each gets."""
        return self._of.wanted

    @property
    def done(self) -> bool:
        """Whether all samples that are asked for were put, and no more will be asked for."""
        return self._of.done

    @property
    def rounds(self) -> Sequence[Sequence[int]]:
        """Of a policy with a total, `wanted` after each round so far; of others, none."""
        return self._of.plans if isinstance(self._of, Rounds) else []

    @property
    def spent(self) -> int | None:
        """Of a policy with a total, the tokens of the complete rounds; of others None."""
        return self._of.spent if isinstance(self._of, Rounds) else None


class _Locally:
    """Decisions on each problem alone."""

    def __init__(self, policy: Local, problems: int) -> None:
        self._policy = policy
        self._seen: list[Progress | None] = [policy.start() for _ in range(problems)]  # None: decided
        self._early: dict[int, dict[int, Outcome]] = {}  # what came before a sample of a lower number
        at_first = policy.wanted(policy.start())
        self.wanted: list[int] = [at_first] * problems
        self._open = problems

    @property
    def done(self) -> bool:
        return not self._open

    def put(self, problem: int, sample: int, outcome: Outcome) -> Wanted:
        seen = self._seen[problem]
        if seen is None or sample < seen.samples:
            return []
        before = self.wanted[problem]  # more than there are, while it is not decided
        if sample > seen.samples:
            self._early.setdefault(problem, {}).setdefault(sample, outcome)
            return []
        early = self._early.get(problem, {})
        while True:
            seen.add(outcome)
            wanted = self._policy.wanted(seen)
            if seen.samples >= wanted or seen.samples not in early:
                break
            outcome = early.pop(seen.samples)
        self.wanted[problem] = wanted
        if seen.samples == wanted:
            self._seen[problem] = None
            self._early.pop(problem, None)
            self._open -= 1
        return [(problem, range(before, wanted))] if wanted > before else []
