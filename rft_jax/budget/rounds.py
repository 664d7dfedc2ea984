"""The plan of a policy with a total of tokens: in rounds, each planned while the one before is sampled.

Which problem gives the next new path? After n samples of a problem, f of whose lists of equations came up once, Good
and Turing estimate the chance that the next sample is a new one as f / n (Good 1953; for discovery by several
sources, Bubeck, Ernst and Garivier, arXiv 1110.5447). After few samples that is mostly noise, so it is drawn towards
1 / 2 by four samples more, as Agresti and Coull do: (f + 2) / (n + 4); BUILD.md, "Budgets", compares it with others.
A problem that was never solved has f = 0, like one that always gives the same path: its chance falls with every
sample, so it never gets everything, but the others' fall, too, so it is never left out for good. Divided by the mean
length of the problem's samples, drawn to that of all by one sample more, this is the chance per token. Samples that
are asked for and not known yet count in n, as if they had shown nothing new.

Nothing waits for a slow worker: the plan of round r + 1 uses the complete rounds up to r - 1, so it is known as soon
as these are, while round r is sampled. The first pass is rounds 0 and 1. Then each round has a quarter of the tokens
that are left, at least a 64th of the total; the lengths of what is not known yet are estimated, so the outcome
differs from the total by what the estimates of the last two rounds were off.

The same outcomes give the same plan on any machine: sums over outcomes are of whole numbers, all else is +, -, * and
/ of IEEE doubles in a fixed order, and equal chances go by the number of the problem.
"""

import heapq
from collections.abc import Sequence

from rft_jax.budget.outcome import Outcome
from rft_jax.budget.policies import Tokens
from rft_jax.budget.progress import Progress
from rft_jax.errors import UserError

_SHARE = 4  # a round has this part of what is left
_LEAST = 64  # and at least this part of the total
_PRIOR = 4  # samples that an estimate is drawn by, half of them new


class Rounds:
    """The rounds of a run, planned as outcomes come in.

    Attributes:
        plans: for each round, how many samples of each problem there are with it and all before.
        done: whether there will be no more rounds; all samples are known then.
    """

    def __init__(self, policy: Tokens, problems: int) -> None:
        """Plans the first two rounds.

        Args:
            policy: with the total.
            problems: how many there are.

        Raises:
            UserError: there are more problems than tokens.
        """
        if policy.total < problems * policy.pass_size:
            raise UserError(
                f"budget '{policy.text}': the first pass of {problems:,} problems is more than so many tokens"
            )
        self._policy = policy
        self._seen = [Progress(policy.pass_size) for _ in range(problems)]
        half = -(-policy.pass_size // 2)
        self.plans: list[list[int]] = [[half] * problems, [policy.pass_size] * problems]
        self.done = False
        self._complete = 0  # rounds
        self._early: list[dict[int, Outcome]] = [{} for _ in range(problems)]  # of rounds that are not complete
        self._missing = [half * problems, (policy.pass_size - half) * problems]  # samples of each round

    @property
    def wanted(self) -> Sequence[int]:
        """How many samples of each problem are asked for so far."""
        return self.plans[-1]

    @property
    def spent(self) -> int:
        """Tokens of the complete rounds."""
        return sum(seen.tokens for seen in self._seen)

    @property
    def expected(self) -> float:
        """Tokens of the complete rounds, and what the samples that were asked for beyond them will have, estimated."""
        mean = self._mean()
        return self.spent + sum(
            (wanted - seen.samples) * _cost(seen, mean)
            for wanted, seen in zip(self.wanted, self._seen, strict=True)
            if wanted > seen.samples
        )

    def put(self, problem: int, sample: int, outcome: Outcome) -> list[tuple[int, range]]:
        """Takes note of what came of a sample, in any order; what is known already, or not asked for yet, may come too.

        Returns:
            The samples that are asked for now: problem, and their numbers.
        """
        early = self._early[problem]
        if self.done or sample < self._seen[problem].samples or sample in early:
            return []
        early[sample] = outcome
        for number in range(self._complete, len(self.plans)):
            if sample < self.plans[number][problem]:
                self._missing[number] -= 1
                break
        before = self.plans[-1]
        while not self.done and not self._missing[self._complete]:
            self._end_round()
        if self.plans[-1] is before:
            return []
        return [
            (place, range(old, new))
            for place, (old, new) in enumerate(zip(before, self.plans[-1], strict=True))
            if new > old
        ]

    def _end_round(self) -> None:
        """Takes note of the first round that is not noted yet, which is complete, and plans one more."""
        for end, seen, early in zip(self.plans[self._complete], self._seen, self._early, strict=True):
            while seen.samples < end:
                seen.add(early.pop(seen.samples))
        self._complete += 1
        plan = self._plan()
        if plan == self.plans[-1] == self.plans[self._complete - 1]:
            self.done = True  # there is nothing more to ask for, and nothing that is not noted
            return
        missing = sum(
            sum(sample not in early for sample in range(old, new))
            for old, new, early in zip(self.plans[-1], plan, self._early, strict=True)
            if new > old
        )
        self.plans.append(plan)
        self._missing.append(missing)

    def _mean(self) -> float:
        samples = sum(seen.samples for seen in self._seen)
        return self.spent / samples if samples else 0.0

    def _plan(self) -> list[int]:
        """Returns what the next round asks for, given the complete ones."""
        policy, wanted = self._policy, list(self.wanted)
        left = policy.total - self.expected
        of_round = min(left, max(left / _SHARE, policy.total / _LEAST))
        mean = self._mean()
        costs = [_cost(seen, mean) for seen in self._seen]

        def rate(problem: int) -> float:
            return (self._seen[problem].singletons + _PRIOR / 2) / (wanted[problem] + _PRIOR) / costs[problem]

        best = [(-rate(problem), problem) for problem in range(len(wanted)) if wanted[problem] < policy.k]
        heapq.heapify(best)
        while best and of_round > 0:
            problem = heapq.heappop(best)[1]
            if costs[problem] > left:
                continue  # not even one more
            wanted[problem] += 1
            left -= costs[problem]
            of_round -= costs[problem]
            if wanted[problem] < policy.k:
                heapq.heappush(best, (-rate(problem), problem))
        return wanted


def _cost(seen: Progress, mean: float) -> float:
    """Returns how many tokens the next sample of a problem will have, estimated; `mean` is that of all samples."""
    return max(1.0, (seen.tokens + mean) / (seen.samples + 1))
