"""Grading and voting, with both graders."""

import json
import random
from pathlib import Path

import pytest

from rft_jax.errors import UserError
from rft_jax.evaluate.grade import Result, describe, grade, judge, reported_ks, responses_of
from rft_jax.records import problem as problems
from rft_jax.records.path import Path as SampledPath
from rft_jax.task import grader as graders

SHARED = Path(__file__).parents[3] / "shared" / "data"
RESPONSE = "<<6*3=18>>18\n#### 18"


def answers(*numbers):
    return [f"#### {number}" for number in numbers]


def graded(name, greedy, samples, response=RESPONSE):
    grader = graders.load(name)
    gold = grader.parse(response)
    return grade(grader, gold, judge(grader, gold, greedy), judge(grader, gold, samples))


def test_the_reference_votes_on_texts_and_the_robust_grader_on_numbers():
    samples = answers("18", "18.0", "18.00", "7", "7")
    assert graded("reference", ["#### 18.0"], samples) == Result(True, False, 3, 5)
    assert graded("robust", ["#### $18"], samples) == Result(True, True, 3, 5)
    assert graded("reference", ["#### $18"], []) == Result(False, None, 0, 0)


def test_the_first_seen_answer_wins_a_tie():
    for grader in ("reference", "robust"):
        assert graded(grader, [], answers("7", "18")).vote is False
        assert graded(grader, [], answers("18", "7")).vote is True
        assert graded(grader, [], ["no answer", *answers("18")]).vote is True
        assert graded(grader, [], ["no answer"]).vote is False


def test_a_problem_whose_gold_answer_cannot_be_read_does_not_count():
    known = [Result(True, None, 0, 0), Result(False, None, 0, 0)]
    assert describe([known[0], None, known[1]]) == describe(known)
    assert describe([None]) == {}


def test_responses_are_in_sample_order_whatever_the_file_order():
    paths = [SampledPath(p, s, "m", f"{p}.{s}") for p in range(3) for s in range(4)]
    random.Random(0).shuffle(paths)
    assert responses_of(paths, 3, 4) == [[f"{p}.{s}" for s in range(4)] for p in range(3)]
    assert responses_of(paths, 3, 2) == [[f"{p}.{s}" for s in range(2)] for p in range(3)]
    with pytest.raises(UserError, match="problem 0 has 4 of 5 paths"):
        responses_of(paths, 3, 5)


def test_describe_reports_only_what_was_measured():
    greedy_only = describe([Result(True, None, 0, 0), Result(False, None, 0, 0)])
    assert list(greedy_only) == ["maj1@1"]
    sampled = describe([Result(True, True, 5, 6), Result(False, False, 0, 6)])
    assert list(sampled) == ["maj1@1", "maj1@6", "pass@1", "pass@2", "pass@4", "pass@6"]
    assert sampled["pass@1"]["mean"] == pytest.approx(5 / 12)
    assert sampled["pass@6"]["mean"] == 0.5
    assert all(value["low"] <= value["mean"] <= value["high"] for value in sampled.values())


def test_ks_at_which_pass_at_k_is_reported():
    assert reported_ks(1) == [1]
    assert reported_ks(24) == [1, 2, 4, 8, 16, 24]
    assert reported_ks(64) == [1, 2, 4, 8, 16, 32, 64]


def test_the_released_models_outputs_score_as_its_authors_code_scores_them():
    outputs, gold = SHARED / "released_model" / "greedy_fp32.jsonl", SHARED / "gsm8k" / "test.jsonl"
    if not outputs.exists() or not gold.exists():
        pytest.skip(f"needs {outputs} and {gold}")
    lines = [json.loads(line) for line in outputs.read_text(encoding="utf-8").splitlines()]
    responses = [line["response"] for line in lines]
    results = [
        graded("reference", [response], [], each.response)
        for each, response in zip(problems.read_problems(gold), responses, strict=True)
    ]
    assert sum(bool(result.greedy) for result in results) == 647
    assert describe(results)["maj1@1"]["mean"] == pytest.approx(0.4905, abs=5e-5)
