"""The equations benchmark measures what it claims: every response counts, and caches start cold."""

import functools
import gc
import json
import pathlib
import re

import pytest

from rft_jax.benchmark import equations as benchmark
from rft_jax.task.canonical import canonical
from rft_jax.task.equations import ANNOTATED, PLAIN

RESPONSES = [
    "She sells 48/2 = <<48/2=24>>24 clips.\nThat is 48+24 = <<48+24=72>>72.\n#### 72",
    "10% of 50 is 50*.1 = $<<50*.1=5>>5.\n#### 5",
    "He has 18-3-4 = <<18-3-4=12>>12 eggs.\n#### 12",
]


def test_a_report_has_two_lines_per_set_of_responses(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)
    monkeypatch.setattr(benchmark, "_GENERATED_PROBLEMS", 1)
    released = tmp_path / "responses.jsonl"
    released.write_text("".join(json.dumps({"response": text}) + "\n" for text in RESPONSES), encoding="utf-8")
    _, times, names, generated, _ = benchmark.run(released)
    assert times.startswith("released model, one response per problem, 3 responses")
    assert generated.startswith("generated, 1 problems, 500 responses")
    assert len(re.findall(r"median ratio [0-9]+\.[0-9]{2}", times)) == 2
    # An equation of the third response does not hold.
    assert names.startswith("released model, one response per problem, 2 distinct lists of 1.5 equations")


def _remembered() -> dict[int, int]:
    # type(), since isinstance() asks every object for its class, and torch's modules warn when asked.
    memos = [thing for thing in gc.get_objects() if type(thing) is functools._lru_cache_wrapper]
    ours = [memo for memo in memos if memo.__module__.startswith("rft_jax.task")]
    return {id(memo): memo.cache_info().currsize for memo in ours}


def test_nothing_is_remembered_between_rounds() -> None:
    responses = [response.replace("48", "4812345") for response in RESPONSES]  # that no other test has left in a memo
    before = _remembered()
    for response in responses:
        ANNOTATED.key(response)
        canonical(PLAIN.key(benchmark._ANNOTATION.sub("", response)) or "")
    filled = [memo for memo, size in _remembered().items() if size > before[memo]]
    assert len(filled) > 3
    benchmark._forget()
    after = _remembered()
    assert not any(after[memo] for memo in filled)
