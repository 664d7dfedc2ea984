"""What a dry run says of the comparisons."""

import dataclasses

import pytest

from rft_jax.config import EvaluateStage, PipelineConfig, WorldStage
from rft_jax.config_flag import load
from rft_jax.evidence import power
from rft_jax.pipeline import dry_run, showable
from rft_jax.pipeline.stage_settings import root
from tests.report import evaluated


def config(**fields):
    """Returns a config on the world's problems, 800 to evaluate on."""
    made = evaluated.config(stages=(WorldStage(name="world", train=40, test=800, seed=0), *evaluated.STAGES))
    return dataclasses.replace(made, problems="world/train.jsonl", test="world/test.jsonl", **fields)


def points(*arguments):
    return f"{100 * power.smallest(*arguments):.1f} points"


def test_each_comparison_says_what_it_can_show(tmp_path):
    told = list(showable.lines(config(seeds=3), tmp_path))
    least = points(800, 3, 2, power.DEFAULT)
    assert told[1:3] == [
        f"{pair}: with 800 problems and 3 seeds, differences of at least {least} can be shown "
        "(power 0.8, 2 comparisons)"
        for pair in ("eval-sft against eval-base", "eval-rft against eval-sft")
    ]
    assert told[3].startswith("assuming that only one of two models solves 20% of the problems, that 33% of this")
    assert len(told) == 4


def test_one_seed_says_that_its_luck_is_not_in_it(tmp_path):
    told = list(showable.lines(config(), tmp_path))
    assert f"with 800 problems and 1 seed, differences of at least {points(800, 1, 2, power.DEFAULT)}" in told[1]
    assert told[-1].startswith("one seed: ")


def test_a_share_of_the_problems_and_the_controls_count(tmp_path):
    told = "\n".join(showable.lines(config(test_fraction=0.25, controls=("steps", "random")), tmp_path))
    assert "with 200 problems" in told
    # Each control is compared with SFT, and RFT with each of them.
    assert "eval-rft against eval-rft-random" in told
    assert "6 comparisons" in told


def test_too_few_problems_show_nothing(tmp_path):
    (_, first, *_) = showable.lines(config(test_fraction=0.02), tmp_path)
    assert "with 16 problems and 1 seed, no difference of up to 20 points can be shown" in first


def test_what_is_finished_takes_the_place_of_assumptions(tmp_path):
    made = config(seeds=2)
    right = {
        "eval-base": evaluated.answers(0, 0.3, 800),
        "eval-sft": evaluated.answers(1, 0.4, 800), "eval-sft.seed1": evaluated.answers(2, 0.42, 800),
        "eval-rft": evaluated.answers(3, 0.5, 800),
    }  # fmt: skip
    evaluated.write(tmp_path, made, right)
    seen = showable.finished(tmp_path)
    assert {pair: values.shape for pair, values in seen.items()} == {
        ("eval-sft", "eval-base"): (2, 800), ("eval-rft", "eval-sft"): (1, 800),
    }  # fmt: skip
    differing = (right["eval-rft"] != right["eval-sft"]).mean()
    told = list(showable.lines(dataclasses.replace(made, seeds=1), tmp_path))
    assumed = dataclasses.replace(power.DEFAULT, differing=differing)
    assert f"at least {points(800, 1, 2, assumed)} can be shown (power 0.8, 2 comparisons; {differing:.1%}" in told[2]
    assert not any(line.startswith("assuming") for line in told)


def test_clusters_are_named(tmp_path):
    told = list(showable.lines(config(evaluate_settings=("cluster=template",)), tmp_path))
    assert told[-1].endswith("by template, as they will be compared, it needs more")


@pytest.mark.parametrize("stages", [[], [EvaluateStage(name="eval-base", model="base")]])
def test_without_comparisons_nothing_is_said(tmp_path, stages):
    world = WorldStage(name="world", train=40, test=8, seed=0)
    assert list(showable.lines(config(stages=(world, *stages)), tmp_path)) == []


def test_a_dry_run_ends_with_what_can_be_shown(tmp_path):
    tiny = load(f"{root()}/tests/pipeline/tiny.py", PipelineConfig)
    compared = EvaluateStage(name="eval-base", model="base", against=("eval",))
    more = dataclasses.replace(tiny, stages=(*tiny.stages, compared))
    told = dry_run.plan(more, tmp_path, hardware="cpu", chips=2).splitlines()
    assert any(line.startswith("eval-base against eval: with 8 problems and 1 seed, no difference") for line in told)
    assert told[-1].startswith("one seed: ")


def test_of_experiments_what_tests_one_claim_is_corrected_together(tmp_path):
    config = load("configs/paper/rft.py:tiny", PipelineConfig)
    told = [line for line in showable.lines(config, tmp_path) if line.startswith("late-rft-eval against ")]
    assert [line.partition(":")[0].rpartition(" ")[2] for line in told] == [
        "late-sft-eval", "late-rft-steps-eval", "late-rft-random-eval",
    ]  # fmt: skip
    assert all("600 problems and 3 seeds" in line and "2 comparisons" in line for line in told)  # of two students
