"""Counts over the graded paths, added up block by block; all are whole numbers, so the blocks do not matter."""

import bisect
import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rft_jax.select.graded import Graded
from rft_jax.task.canonical import canonical

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
        samples, parsed, correct, valid: paths; each is a part of the one before. Valid means that it is fit for
            training, as far as the rule wants that, and its equations hold.
        run_on, not_text: correct paths that are unfit, see `rft_jax.task.unfit`.
        distinct: equation lists among the valid paths, summed over problems.
        distinct_canonical: the same by their canonical names.
        solved: (samples, correct ones) of a problem -> how many problems; problems without samples do not count.
        solved_by_first: the same, of a model whose samples stopped by what they showed from those alone that every
            problem surely has.
        correct_at, distinct_at, canonical_at, with_gold_at: k -> the counts over the samples numbered below k; the last
            one counts the gold path's equation list as found.
        most_samples: the largest sample number, plus one.
    """

    samples: int = 0
    parsed: int = 0
    correct: int = 0
    run_on: int = 0
    not_text: int = 0
    valid: int = 0
    distinct: int = 0
    distinct_canonical: int = 0
    solved: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    solved_by_first: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    correct_at: Counter[int] = dataclasses.field(default_factory=Counter)
    distinct_at: Counter[int] = dataclasses.field(default_factory=Counter)
    canonical_at: Counter[int] = dataclasses.field(default_factory=Counter)
    with_gold_at: Counter[int] = dataclasses.field(default_factory=Counter)
    most_samples: int = 0

    def count(
        self,
        paths: Sequence[Graded],
        gold_equations: str,
        canonical_of: Mapping[str, str],
        ks: Iterable[int],
        always: Mapping[str, int],
    ) -> None:
        """Adds the paths of one problem; `canonical_of` has the canonical names of its valid equation lists."""
        if not paths:
            return
        correct = sorted([path.sample for path in paths if path.correct])
        valid = [
            (path.sample, path.equations) for path in paths if path.response is not None and path.equations is not None
        ]
        first_sample: dict[str, int] = {}
        for sample, equations in valid:
            if sample < first_sample.get(equations, EVERY_SAMPLE):
                first_sample[equations] = sample
        first_canonical: dict[str, int] = {}
        for equations, sample in first_sample.items():
            name = canonical_of[equations]
            first_canonical[name] = min(sample, first_canonical.get(name, sample))
        found_at, canonical_at = sorted(first_sample.values()), sorted(first_canonical.values())
        unfit = Counter([path.unfit for path in paths if path.unfit is not None])
        self.samples += len(paths)
        self.parsed += sum([path.parsed for path in paths])
        self.correct += len(correct)
        self.run_on += unfit["run_on"]
        self.not_text += unfit["not_text"]
        self.valid += len(valid)
        self.distinct += len(first_sample)
        self.distinct_canonical += len(first_canonical)
        self.solved[len(paths), len(correct)] += 1
        first = [path.correct for path in paths if path.sample < always.get(path.model, EVERY_SAMPLE)]
        self.solved_by_first[len(first), sum(first)] += 1
        self.most_samples = max(self.most_samples, 1 + max([path.sample for path in paths]))
        for k in ks:
            self.correct_at[k] += bisect.bisect_left(correct, k)
            distinct = bisect.bisect_left(found_at, k)
            self.distinct_at[k] += distinct
            self.canonical_at[k] += bisect.bisect_left(canonical_at, k)
            self.with_gold_at[k] += distinct + (first_sample.get(gold_equations, k) >= k)

    def add(self, other: "Funnel") -> None:
        """Adds the counts of other problems."""
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, field.name, max(mine, theirs) if field.name == "most_samples" else mine + theirs)


@dataclasses.dataclass(slots=True)
class Audit:
    """How an auditor's judgement compares with the grader's in use.

    Attributes:
        counts: (correct by the grader in use, by the auditor) -> paths; those of problems whose gold answer the
            auditor cannot read do not count.
        examples: some paths on which they disagree.
    """

    counts: Counter[tuple[bool, bool]] = dataclasses.field(default_factory=Counter)
    examples: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def add(self, other: "Audit") -> None:
        """Adds the counts of the problems that follow."""
        self.counts.update(other.counts)
        self.examples = (self.examples + other.examples)[:_EXAMPLES]


@dataclasses.dataclass(slots=True)
class Tally:
    """All counts of a selection; see `statistics` for what is made of them.

    Attributes:
        grader: the name of the one in use.
        united: all models together.
        models: the same for each one.
        found_by: the models that found it -> how many (problem, equation list) pairs.
        unsolved: problems that have samples, none of them correct.
        suspects: problems whose samples agree on another answer than the gold one.
        audits: auditor's name -> what it says.
        repeated: lines that repeat another one, word for word; they count once.
        rows: k, or None for all samples -> rows written, without the gold ones.
    """

    grader: str
    audits: dict[str, Audit]
    united: Funnel = dataclasses.field(default_factory=Funnel)
    models: dict[str, Funnel] = dataclasses.field(default_factory=dict)
    found_by: Counter[tuple[str, ...]] = dataclasses.field(default_factory=Counter)
    unsolved: list[int] = dataclasses.field(default_factory=list)
    suspects: list[dict[str, int | str]] = dataclasses.field(default_factory=list)
    repeated: int = 0
    rows: Counter[int | None] = dataclasses.field(default_factory=Counter)

    @classmethod
    def of_graders(cls, names: Sequence[str]) -> "Tally":
        """Returns an empty tally; the grader in use is named first."""
        return cls(names[0], {name: Audit() for name in names[1:]})

    def count(
        self,
        number: int,
        paths: Sequence[Graded],
        models: Sequence[str],
        gold_equations: str,
        ks: Iterable[int],
        always: Mapping[str, int],
    ) -> None:
        """Adds the paths of problem `number`, which come in the order of models and samples; `always`: see `Job`."""
        ks = list(ks)
        finders: dict[str, dict[str, None]] = {}  # the models in their order
        of_model: dict[str, list[Graded]] = {model: [] for model in models}
        for path in paths:
            of_model[path.model].append(path)
            if path.response is not None and path.equations is not None:
                finders.setdefault(path.equations, {})[path.model] = None
        canonical_of = {equations: canonical(equations) for equations in finders}
        self.united.count(paths, gold_equations, canonical_of, ks, always)
        for model in models:
            self.models.setdefault(model, Funnel()).count(of_model[model], gold_equations, canonical_of, ks, always)
        self.found_by.update(tuple(found) for found in finders.values())
        if paths and not any(path.correct for path in paths):
            self.unsolved.append(number)
        self._audit(number, paths)
        self._suspect(number, paths)

    def _audit(self, number: int, paths: Sequence[Graded]) -> None:
        judged = Counter([(path.correct, path.audits) for path in paths])  # few are different
        for place, (name, audit) in enumerate(self.audits.items()):
            for (correct, audits), count in judged.items():
                if (says := audits[place]) is not None:
                    audit.counts[correct, says] += count
            if len(audit.examples) < _EXAMPLES and any(
                audits[place] not in (correct, None) for correct, audits in judged
            ):
                differing = [path for path in paths if path.audits[place] not in (path.correct, None)]
                audit.examples += [
                    {
                        "problem": number,
                        "model": path.model,
                        "sample": path.sample,
                        "correct_by": self.grader if path.correct else name,
                        "answers": {self.grader: path.values[0], name: path.values[1 + place]},
                    }
                    for path in differing[: _EXAMPLES - len(audit.examples)]
                ]

    def _suspect(self, number: int, paths: Sequence[Graded]) -> None:
        votes = Counter([path.vote for path in paths if path.vote is not None])
        for answer, count in votes.most_common(1):
            is_gold = any(path.votes_gold for path in paths if path.vote == answer)
            if not is_gold and count >= _SUSPECT_VOTES and 2 * count > len(paths):
                self.suspects.append({"problem": number, "answer": answer, "votes": count, "samples": len(paths)})

    def add(self, other: "Tally") -> None:
        """Adds the counts of the problems that follow."""
        self.united.add(other.united)
        for model, funnel in other.models.items():
            self.models.setdefault(model, Funnel()).add(funnel)
        self.found_by.update(other.found_by)
        for name, audit in other.audits.items():
            self.audits[name].add(audit)
        self.rows.update(other.rows)
        self.unsolved += other.unsolved
        self.suspects += other.suspects
        self.repeated += other.repeated
