"""The section on test problems that are among the training problems or in a corpus: which, and what they change."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from rft_jax.contamination.compare import PAIRS, RESULT
from rft_jax.contamination.pairs import TOLD, Kind
from rft_jax.contamination.summary import SAME, places
from rft_jax.errors import UserError
from rft_jax.evaluate.outcome import read_evaluation
from rft_jax.evidence.intervals import percent, share
from rft_jax.records.lines import read_objects
from rft_jax.report.collect import Evaluation, Workdir
from rft_jax.report.page import escape, fold, paragraph, table
from rft_jax.report.replicates import MEASURE, clusters

_SHOWN = 50  # pairs
_Value = TypeVar("_Value")
# What may be left out of the test problems, from the strictest meaning of contaminated to the widest.
_LEVELS = {
    "the same": SAME,
    "the same but for names and numbers": (*SAME, Kind.NUMBERS, Kind.NAMES),
    "alike in any way": tuple(Kind),
}


@dataclasses.dataclass(frozen=True)
class FoundPairs:
    """What a finished comparison of test with training problems found.

    Attributes:
        folder: of its files.
        result: contamination.json.
        pairs: lines of pairs.jsonl.
    """

    folder: Path
    result: dict[str, Any]
    pairs: Sequence[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "FoundPairs":
        """Returns the comparison in a folder.

        Raises:
            UserError: its files cannot be read, or do not belong to each other.
        """
        try:
            result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
            pairs = [pair for _, pair in read_objects(folder / PAIRS)]
            count, listed = result["test"]["count"], result["listed"]
            whole = len(pairs) == listed and all(0 <= pair["test"] < count and Kind(pair["kind"]) for pair in pairs)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder} holds no comparison that this version can read: {error}") from None
        if not whole:
            raise UserError(f"{folder / PAIRS} does not belong to {RESULT} beside it: compare the problems again")
        return cls(folder, result, pairs)

    def alike(self, kinds: Sequence[Kind]) -> set[int]:
        """Returns the test problems that have a pair of these kinds."""
        return {pair["test"] for pair in self.pairs if pair["kind"] in kinds}

    def split(self, evaluation: Path, grader: str, kinds: Sequence[Kind]) -> tuple[list[bool], list[bool]]:
        """Returns which answers of an evaluation are right: to the problems without such a pair, and to those with one.

        Raises:
            UserError: it is of other problems, or not finished.
        """
        metrics, right = read_evaluation(evaluation, grader)
        tested = self.result["test"]
        if metrics["fingerprint"] != tested["fingerprint"] or len(right) != tested["count"]:
            raise UserError(
                f"{evaluation} is an evaluation of {metrics['problems']}, and {self.folder} compares other problems, "
                f"{tested['file']}"
            )
        return _divided(right, self.alike(kinds))


def found(run: Workdir) -> str:
    """Returns the counts of each kind, the accuracies with and without the pairs, and the pairs."""
    comparisons = [FoundPairs.read(file.parent) for file in sorted(run.folder.glob(f"*/{RESULT}"))]
    if not comparisons:
        return ""
    intro = paragraph(
        "Test problems that are also among the training problems, or in a given corpus, say little about a model that "
        "was trained on them. Each is counted by its strongest pair. Pairs are found by their words: what is "
        "paraphrased or translated is not found."
    )
    return intro + _counts(comparisons) + _accuracies(run, comparisons) + "".join(map(_pairs, comparisons))


def _counts(comparisons: Sequence[FoundPairs]) -> str:
    columns = [(each, where, counts) for each in comparisons for where, counts in places(each.result)]
    rows = [[told, *(f"{counts[kind]['test_problems']:,}" for *_, counts in columns)] for kind, told in TOLD.items()]
    head = f"of {comparisons[0].result['test']['count']:,} test problems"
    return table([head, *(f"{each.folder.name}: {where}" for each, where, _ in columns)], rows)


def _accuracies(run: Workdir, comparisons: Sequence[FoundPairs]) -> str:
    rows, others = [], []
    for evaluation in run.evaluations:
        comparison = _of(run, evaluation, comparisons)
        if comparison is None:
            others.append(evaluation.name)
            continue
        before: set[int] = set()
        for told, kinds in _LEVELS.items():
            alike = comparison.alike(kinds)
            if alike == before:
                continue  # this level has no more than the stricter ones
            before = alike
            without, only = comparison.split(run.folder / evaluation.name, evaluation.grader, kinds)
            named = clusters(evaluation)
            of_rest, of_alike = _divided(named, alike) if named else (None, None)
            both = of_rest + of_alike if of_rest is not None and of_alike is not None else None
            parts = ((without + only, both), (without, of_rest), (only, of_alike))
            shares = (percent(_share(*part)) for part in parts)
            rows.append([evaluation.metrics["name"], told, f"{len(only):,}", *shares])
    made = table(["model", "left out: what is", "problems", f"all, {MEASURE}", "without them", "on them alone"], rows)
    if others:
        made += paragraph(f"On other problems, so not in this table: {', '.join(others)}.")
    return made


def _of(run: Workdir, evaluation: Evaluation, comparisons: Sequence[FoundPairs]) -> FoundPairs | None:
    """Returns the comparison of an evaluation's problems; of several, that of the same replicate."""
    of_problems = [
        each for each in comparisons if each.result["test"]["fingerprint"] == evaluation.metrics.get("fingerprint")
    ]
    replicate = run.stage(evaluation.name).get("replicate")
    same = [each for each in of_problems if run.stage(each.folder.name).get("replicate") == replicate]
    return next(iter([*same, *of_problems]), None)


def _divided(values: Sequence[_Value], alike: set[int]) -> tuple[list[_Value], list[_Value]]:
    """Returns the values of the problems that are not alike, and of those that are, each in order."""
    rest = [value for number, value in enumerate(values) if number not in alike]
    return rest, [values[number] for number in sorted(alike)]


def _share(right: Sequence[bool], named: Sequence[str] | None) -> dict[str, float] | None:
    return dataclasses.asdict(share(right, named)) if right else None


def _pairs(comparison: FoundPairs) -> str:
    order = sorted(comparison.pairs, key=lambda pair: (Kind(pair["kind"]).rank, -pair["similarity"]))
    if not order:
        return ""
    # Rows count from 1, as lines of a file do; the numbers of test problems from 0, as everywhere.
    shown = "".join(
        f"<p>{escape(TOLD[Kind(pair['kind'])])}, {pair['similarity']:.2f}: test problem {pair['test']}, and "
        f"row {pair['row']} of {escape(pair['corpus'] or 'the training problems')}</p>"
        f"<pre>{escape(pair['question'])}</pre><pre>{escape(pair['text'])}</pre>"
        for pair in order[:_SHOWN]
    )
    note = f"the {_SHOWN} strongest of {len(order):,}" if len(order) > _SHOWN else f"{len(order):,}"
    return fold(f"{comparison.folder.name}: pairs", f"{note}; all that are listed are in {PAIRS}", shown)
