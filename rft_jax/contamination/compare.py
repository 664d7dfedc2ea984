"""Compares test problems with training problems and corpora, and writes what is alike."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rft_jax import names, provenance
from rft_jax.contamination import words
from rft_jax.contamination.index import SEED, SHARED, index_of
from rft_jax.contamination.near import near
from rft_jax.contamination.pairs import LISTED, Found, Kind, Match, Pair
from rft_jax.contamination.search import NEAR, search
from rft_jax.contamination.sources import Document, documents
from rft_jax.errors import UserError
from rft_jax.files import refuse_to_replace, whole_file
from rft_jax.one_writer import filled
from rft_jax.records import hub, manifest
from rft_jax.records.lines import dump, write_lines
from rft_jax.records.problem import Problem, read_problems
from rft_jax.remote.address import is_remote
from rft_jax.select.workers import Map, ordered_map
from rft_jax.task import task as tasks

RESULT, PAIRS = "contamination.json", "pairs.jsonl"
_BATCH = 2_000_000  # characters of a corpus that a worker searches at a time
_SHOWN, _AROUND = 2_000, 200  # characters of a text that are listed; around the part that is alike


@dataclasses.dataclass(frozen=True)
class _Batch:
    tests: tuple[str, ...]
    documents: list[Document]


def compare(test: str, train: str, corpora: Sequence[str], output: Path, *, task: str, workers: int) -> dict[str, Any]:
    """Writes pairs.jsonl and contamination.json, and returns the latter's fields.

    Args:
        test, train: problems, as `read_problems` takes them.
        corpora: patterns of files, or data sets of the hub, with any texts.
        output: folder to write to.
        task: reads the problems.
        workers: processes for the corpora, and threads.

    Raises:
        UserError: a file is missing or wrong, or holds no problem; nothing matches a pattern; or the output cannot be
            written, is being written by another process, or is one of the files. Nothing is written then.
    """
    reader = tasks.load(task).reader
    tested, trained = read_problems(test, reader), read_problems(train, reader)
    files = _files(corpora)
    refuse_to_replace([test, train, *files], output / PAIRS, output / RESULT)
    texts = tuple(dict.fromkeys(asked(problem) for problem in tested))
    with filled(output):
        in_training = _in_training(texts, [asked(problem) for problem in trained], workers)
        with ordered_map(workers if files else 1) as run:
            in_corpora = {file: _in_corpus(texts, file, run) for file in files}
        number = {text: place for place, text in enumerate(texts)}
        of_problem = [number[asked(problem)] for problem in tested]
        everywhere = {None: in_training} | {file: found for file, (found, _) in in_corpora.items()}
        lines = list(_lines(tested, of_problem, everywhere))
        result = {
            "test": {"file": test, **manifest.of_problems(tested)},
            "train": {"file": train, **manifest.of_problems(trained), "found": _counts(of_problem, in_training)},
            "corpora": [
                {"file": file, "texts": count, "found": _counts(of_problem, found)}
                for file, (found, count) in in_corpora.items()
            ],
            "task": task,
            "settings": {"near": NEAR, "words": SHARED, "least_words": SEED, "listed_per_problem": LISTED},
            "listed": len(lines),
            provenance.FIELD: provenance.software(),
        }
        (output / RESULT).unlink(missing_ok=True)  # a kill must not leave the counts of other pairs
        write_lines(output / PAIRS, map(dump, lines))
        with whole_file(output / RESULT) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")
    return result


def asked(problem: Problem) -> str:
    """Returns what is asked: the question, and the turns before it if there are any."""
    return "\n".join([*(content for _, content in problem.history), problem.question])


def _files(corpora: Sequence[str]) -> list[str]:
    files: list[str] = []
    for pattern in corpora:
        if pattern.startswith(hub.PREFIX) or is_remote(pattern):
            files.append(pattern)
            continue
        matched = sorted(name for name in names.matches(pattern) if Path(name).is_file())
        if not matched:
            raise UserError(f"no file matches {pattern}")
        files += matched
    return list(dict.fromkeys(files))


def _in_training(texts: tuple[str, ...], trained: Sequence[str], workers: int) -> Found:
    index, found = index_of(texts), Found()
    bar = tqdm(trained, desc="training problems", unit="", disable=None)
    for row, (text, similar) in enumerate(zip(bar, near(index, trained, workers), strict=True), start=1):
        for test, pair in _pairs(Document(row, text), search(index, text, similar)):
            found.add(test, pair)
    return found


def _in_corpus(texts: tuple[str, ...], file: str, run: Map) -> tuple[Found, int]:
    """Returns what is found in a corpus, and how many texts it has."""
    found, count = Found(), 0
    overlap = 2 * max(map(len, texts))
    with tqdm(desc=Path(file).name, unit=" texts", disable=None) as bar:
        batches = (_Batch(texts, part) for part in _batches(documents(file, overlap)))
        for searched, pairs in run(_search_batch, batches):
            for test, pair in pairs:
                found.add(test, pair)
            count += searched
            bar.update(searched)
    return found, count


def _batches(texts: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in texts:
        batch.append(document)
        size += len(document.text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _search_batch(batch: _Batch) -> tuple[int, list[tuple[int, Pair]]]:
    index = index_of(batch.tests)
    pairs = [pair for document in batch.documents for pair in _pairs(document, search(index, document.text))]
    return len(batch.documents), pairs


def _pairs(document: Document, matches: Sequence[Match]) -> Iterator[tuple[int, Pair]]:
    """Yields the matches in a text as pairs, each with its test text."""
    text, row = document.text, document.row
    if matches and (document.lines or len(text) > _SHOWN):
        text = words.normal(text)
        spans = list(words.spans(text))
    else:
        spans = []
    for match in matches:
        inside = spans[match.begin : match.end]
        begin, end = (inside[0][0], inside[-1][1]) if inside else (0, len(text))
        part = text if len(text) <= _SHOWN else text[max(0, begin - _AROUND) : min(end, begin + _SHOWN) + _AROUND]
        line = text.count("\n", 0, begin) if document.lines else 0
        yield match.test, Pair(match.kind, match.similarity, row + line, part)


def _lines(
    tested: Sequence[Problem], of_problem: Sequence[int], found: dict[str | None, Found]
) -> Iterator[dict[str, Any]]:
    """Yields the lines of pairs.jsonl: each test problem's strongest pairs; corpus: null means training problems."""
    for number, (problem, test) in enumerate(zip(tested, of_problem, strict=True)):
        for corpus, each in found.items():
            for pair in each.of(test):
                yield {
                    "test": number,
                    "kind": pair.kind,
                    "similarity": round(pair.similarity, 4),
                    "corpus": corpus,
                    "row": pair.row,
                    "question": asked(problem),
                    "text": pair.text,
                }


def _counts(of_problem: Sequence[int], found: Found) -> dict[str, dict[str, int]]:
    """Returns for each kind how many test problems have it as their strongest one, and how many pairs there are."""
    strongest = Counter(found.of(test)[0].kind for test in of_problem if found.of(test))
    every: Counter[Kind] = sum((found.counts(test) for test in of_problem), Counter())
    return {kind: {"test_problems": strongest[kind], "pairs": every[kind]} for kind in Kind}
