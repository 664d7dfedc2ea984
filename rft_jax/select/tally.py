"""Counts over the graded paths, added up block by block; all are whole numbers, so the blocks do not matter."""

import bisect
import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from rft_jax.select.spill import Graded

# The paper's prefixes of 100 samples (Table 2).
PAPER_KS = (1, 3, 6, 12, 25, 50, 100)
EVERY_SAMPLE = sys.maxsize

# Samples agree on another answer than the gold one: more than half of them, and at least so many.
_SUSPECT_VOTES = 3
_EXAMPLES = 20


@dataclasses.dataclass(slots=True)
class Funnel:
    """The counts of one model, or of all of them united.

    Attributes:
        samples, parsed, correct, valid: paths; each is a part of the one before; valid means the equations hold.
        distinct: equation lists among the valid paths, summed over problems.
        solved: (samples, correct ones) of a problem -> how many problems; problems without samples do not count.
        correct_at, distinct_at, with_gold_at: k -> the counts over the samples numbered below k; the last one counts
            the gold path's equation list as found.
        most_samples: the largest sample number, plus one.
    """

    samples: int = 0
    parsed: int = 0
    correct: int = 0
    valid: int = 0
    distinct: int = 0
    solved: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    correct_at: Counter[int] = dataclasses.field(default_factory=Counter)
    distinct_at: Counter[int] = dataclasses.field(default_factory=Counter)
    with_gold_at: Counter[int] = dataclasses.field(default_factory=Counter)
    most_samples: int = 0

    def count(self, paths: Sequence[Graded], gold_equations: str, ks: Iterable[int]) -> None:
        """Adds the paths of one problem."""
        if not paths:
            return
        correct = sorted([path.sample for path in paths if path.correct])
        valid = [(path.sample, path.equations) for path in paths if path.correct and path.equations is not None]
        # Of the samples with the same equations the first one stays, as it is written last.
        first_sample = {equations: sample for sample, equations in sorted(valid, reverse=True)}
        found_at = sorted(first_sample.values())
        self.samples += len(paths)
        self.parsed += sum([path.parsed for path in paths])
        self.correct += len(correct)
        self.valid += len(valid)
        self.distinct += len(first_sample)
        self.solved[len(paths), len(correct)] += 1
        self.most_samples = max(self.most_samples, 1 + max([path.sample for path in paths]))
        for k in ks:
            self.correct_at[k] += bisect.bisect_left(correct, k)
            distinct = bisect.bisect_left(found_at, k)
            self.distinct_at[k] += distinct
            self.with_gold_at[k] += distinct + (first_sample.get(gold_equations, k) >= k)

    def add(self, other: "Funnel") -> None:
        """Adds the counts of other problems."""
        for name in ("samples", "parsed", "correct", "valid", "distinct"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most_samples = max(self.most_samples, other.most_samples)
        for name in ("solved", "correct_at", "distinct_at", "with_gold_at"):
            getattr(self, name).update(getattr(other, name))


@dataclasses.dataclass(slots=True)
class Tally:
    """All counts of a selection; see `statistics` for what is made of them.

    Attributes:
        united: all models together.
        models: the same for each one.
        found_by: the models that found it -> how many (problem, equation list) pairs.
        unsolved: problems that have samples, none of them correct.
        suspects: problems whose samples agree on another answer than the gold one.
        graders: (correct by the reference grader, by the robust one) -> paths.
        disagreements: some paths on which the graders disagree.
        repeated: lines that repeat another one, word for word; they count once.
        rows: k, or None for all samples -> rows written, without the gold ones.
    """

    united: Funnel = dataclasses.field(default_factory=Funnel)
    models: dict[str, Funnel] = dataclasses.field(default_factory=dict)
    found_by: Counter[tuple[str, ...]] = dataclasses.field(default_factory=Counter)
    unsolved: list[int] = dataclasses.field(default_factory=list)
    suspects: list[dict[str, int | str]] = dataclasses.field(default_factory=list)
    graders: Counter[tuple[bool, bool]] = dataclasses.field(default_factory=Counter)
    disagreements: list[dict[str, int | str]] = dataclasses.field(default_factory=list)
    repeated: int = 0
    rows: Counter[int | None] = dataclasses.field(default_factory=Counter)

    def count(
        self, number: int, paths: Sequence[Graded], models: Sequence[str], gold_equations: str, ks: Iterable[int]
    ) -> None:
        """Adds the paths of problem `number`, which come in the order of models and samples."""
        ks = list(ks)
        self.united.count(paths, gold_equations, ks)
        of_model: dict[str, list[Graded]] = {model: [] for model in models}
        finders: dict[str, dict[str, None]] = {}  # the models in their order
        for path in paths:
            of_model[path.model].append(path)
            if path.correct and path.equations is not None:
                finders.setdefault(path.equations, {})[path.model] = None
            if path.reference != path.robust and len(self.disagreements) < _EXAMPLES:
                right = "reference" if path.reference else "robust"
                self.disagreements.append(
                    {"problem": number, "model": path.model, "sample": path.sample, "correct_by": right}
                )
        for model in models:
            self.models.setdefault(model, Funnel()).count(of_model[model], gold_equations, ks)
        self.graders.update([(path.reference, path.robust) for path in paths])
        self.found_by.update(tuple(found) for found in finders.values())
        if paths and not any(path.correct for path in paths):
            self.unsolved.append(number)
        self._suspect(number, paths)

    def _suspect(self, number: int, paths: Sequence[Graded]) -> None:
        votes = Counter([path.vote for path in paths if path.vote is not None])
        for answer, count in votes.most_common(1):
            # A vote for the gold answer is correct by the robust grader.
            is_gold = any(path.robust for path in paths if path.vote == answer)
            if not is_gold and count >= _SUSPECT_VOTES and 2 * count > len(paths):
                self.suspects.append({"problem": number, "answer": answer, "votes": count, "samples": len(paths)})

    def add(self, other: "Tally") -> None:
        """Adds the counts of the problems that follow."""
        self.united.add(other.united)
        for model, funnel in other.models.items():
            self.models.setdefault(model, Funnel()).add(funnel)
        self.found_by.update(other.found_by)
        self.graders.update(other.graders)
        self.rows.update(other.rows)
        self.unsolved += other.unsolved
        self.suspects += other.suspects
        self.disagreements = (self.disagreements + other.disagreements)[:_EXAMPLES]
        self.repeated += other.repeated
