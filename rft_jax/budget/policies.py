"""Policies: how many samples a problem gets, at most k, given what its first ones showed.

A local policy decides on each problem alone, by its complete first samples 0 to m - 1. So decisions depend neither on
the order in which paths come back, nor on other problems or workers; and what is sampled is a part of the uniform set,
the first so many samples of each problem.
"""

import abc
import dataclasses

from rft_jax.budget.progress import Progress

FIRST = 4  # samples in a first pass, unless told otherwise
GOAL = 8  # right paths that `proportional` wants of the hardest problems, unless told otherwise


@dataclasses.dataclass(frozen=True, slots=True)
class Policy(abc.ABC):
    """How many samples each problem gets.

    Attributes:
        k: the most samples of a problem.
    """

    k: int

    @property
    @abc.abstractmethod
    def text(self) -> str:
        """The text that `budget.parse` reads, with all that it leaves out."""

    @property
    @abc.abstractmethod
    def always(self) -> int:
        """How many samples every problem gets, whatever they show: these give unbiased estimates, more do not.

        Where sampling stops depends on what the samples were, so the share of right ones among all samples is biased
        (optional stopping): `correct=1`, for one, always ends with a right path.
        """

    @property
    def first(self) -> int:
        """How many samples are the first pass, 0 if there is none."""
        return 0


@dataclasses.dataclass(frozen=True, slots=True)
class _WithFirstPass(Policy):
    """A policy that begins with as many samples of every problem.

    Attributes:
        pass_size: how many.
    """

    pass_size: int

    @property
    def always(self) -> int:
        return self.pass_size

    @property
    def first(self) -> int:
        return self.pass_size


class Local(Policy):
    """A policy that decides on each problem alone."""

    __slots__ = ()

    @abc.abstractmethod
    def wanted(self, seen: Progress) -> int:
        """Returns how many samples are asked for, given the first `seen.samples`: those themselves when it is done.

        Never more than k, and never more than what is surely needed: the samples between are drawn side by side.
        """

    def start(self) -> Progress:
        """Returns the progress of a problem without samples."""
        return Progress(self.first)


@dataclasses.dataclass(frozen=True, slots=True)
class Uniform(Local):
    """The same number of samples for each problem.

    Attributes:
        samples: how many.
    """

    samples: int

    @property
    def text(self) -> str:
        return "uniform" if self.samples == self.k else f"uniform={self.samples}"

    @property
    def always(self) -> int:
        return self.samples

    def wanted(self, seen: Progress) -> int:
        return self.samples


@dataclasses.dataclass(frozen=True, slots=True)
class _UntilGoal(Local):
    """Until a problem has so many paths of a kind.

    Attributes:
        goal: how many.
    """

    goal: int

    @property
    def text(self) -> str:
        return f"{type(self).__name__.lower()}={self.goal}"

    @property
    def always(self) -> int:
        return self.goal

    def wanted(self, seen: Progress) -> int:
        return min(self.k, seen.samples + max(0, self.goal - self._found(seen)))

    @abc.abstractmethod
    def _found(self, seen: Progress) -> int:
        """Returns how many there are."""


class Distinct(_UntilGoal):
    """Until a problem has so many distinct right paths."""

    __slots__ = ()

    def _found(self, seen: Progress) -> int:
        return seen.distinct


class Correct(_UntilGoal):
    """Until a problem has so many right paths, k_u: DART-Math's *Uniform* (arXiv 2407.13690)."""

    __slots__ = ()

    def _found(self, seen: Progress) -> int:
        return seen.right


@dataclasses.dataclass(frozen=True, slots=True)
class Proportional(_WithFirstPass, Local):
    """Until the number of right paths is in proportion to difficulty: DART-Math's *Prop2Diff* (the same paper).

    Difficulty is the share of wrong paths in a first pass. A problem with the share d is sampled until it has
    max(1, ceil(goal * d)) right paths, the first pass included: one that the first pass never solves, `goal`; one that
    it always solves, 1, which it has. Difficulty is not divided by that of the hardest problem, so that the decision is
    each problem's own; where some problem is never solved, as always in practice, that is the same.

    Attributes:
        goal: right paths of the hardest, the paper's k_p.
    """

    goal: int

    @property
    def text(self) -> str:
        return f"proportional={self.goal}:first={self.pass_size}"

    def wanted(self, seen: Progress) -> int:
        if seen.samples < self.pass_size:
            return self.pass_size
        wrong = self.pass_size - seen.right_at_first
        goal = max(1, -(-self.goal * wrong // self.pass_size))
        return min(self.k, seen.samples + max(0, goal - seen.right))


@dataclasses.dataclass(frozen=True, slots=True)
class Boundary(_WithFirstPass, Local):
    """Most for problems that are solved now and then.

    After a first pass of n samples with c right ones, a problem gets the share 4 p (1 - p) of the samples that are left
    to it, where p = (c + 1/2) / (n + 1), Jeffreys' estimate: all of them at p = 1/2, and of what was never or always
    solved 36 % after 4 samples, 21 % after 8.

    Attributes:
        most: samples at p = 1/2, the first pass included.
    """

    most: int

    @property
    def text(self) -> str:
        return f"boundary={self.most}:first={self.pass_size}"

    def wanted(self, seen: Progress) -> int:
        n, c = self.pass_size, seen.right_at_first
        if seen.samples < n:
            return n
        share = (2 * c + 1) * (2 * (n - c) + 1)  # of (n + 1)², all whole numbers
        return min(self.k, n - (-(self.most - n) * share // (n + 1) ** 2))


@dataclasses.dataclass(frozen=True, slots=True)
class Tokens(_WithFirstPass):
    """So many tokens in all, spent where the next new path is most likely per token; see `rounds`.

    Attributes:
        total: tokens to spend.
    """

    total: int

    @property
    def text(self) -> str:
        return f"tokens={self.total}:first={self.pass_size}"
