"""A share of the problems: drawn once, before all stages."""

import dataclasses
import json

import pytest

from rft_jax.config import DrawStage, PipelineConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.pipeline import draw, plan_file, recipe
from rft_jax.pipeline.stage_settings import root
from rft_jax.records.lines import write_lines


@pytest.fixture
def config(tmp_path):
    """Returns a pipeline on 40 and 20 problems that have a level."""
    for name, count in (("train", 40), ("test", 20)):
        rows = ({"question": f"{name} {number}?", "answer": "#### 1", "level": number % 5} for number in range(count))
        write_lines(tmp_path / f"{name}.jsonl", (json.dumps(row).encode() + b"\n" for row in rows))
    made = load(f"{root()}/configs/gsm8k.py:x=/a/folder", PipelineConfig)
    return dataclasses.replace(made, problems=str(tmp_path / "train.jsonl"), test=str(tmp_path / "test.jsonl"))


def write(config, folder, fraction, test_fraction=1.0, seed=0):
    draw.write(
        folder, train=config.problems, test=config.test, fraction=fraction, test_fraction=test_fraction, seed=seed
    )
    return [(folder / name).read_text().splitlines() for name in ("train.jsonl", "test.jsonl")]


def test_a_smaller_fraction_is_the_beginning_of_a_larger_one(config, tmp_path):
    small, large = (write(config, tmp_path / str(share), share, share) for share in (0.25, 0.6))
    for few, many, count in zip(small, large, (10, 5), strict=True):
        assert len(few) == count
        assert many[:count] == few
        assert len(set(many)) == len(many)
    assert set(json.loads(small[0][0])) == {"question", "answer", "level"}


def test_the_seed_draws_the_training_problems_and_no_test_problems(config, tmp_path):
    (one, tested), (other, tested_too) = (write(config, tmp_path / str(seed), 0.5, 0.5, seed) for seed in (0, 1))
    assert set(one) != set(other)
    assert tested == tested_too


def test_no_file_is_written_that_is_read_or_before_both_are_read(config, tmp_path):
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for changed in (config, dataclasses.replace(config, problems=config.test, test=config.problems)):
        with pytest.raises(UserError, match=r"train.jsonl is to be read and written"):
            write(changed, tmp_path, 0.5)
    with pytest.raises(UserError, match=r"no such file"):
        write(dataclasses.replace(config, test="none"), tmp_path / "new", 0.5)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_all_stages_read_what_was_drawn(config, tmp_path):
    part = dataclasses.replace(config, fraction=0.25)
    first, *others = recipe.stages(part, tmp_path)
    assert (first.name, first.kind, first.reads) == (
        "problems", "draw", {"--train": config.problems, "--test": config.test},
    )  # fmt: skip
    assert first.flags == ("--fraction=0.25", "--test_fraction=1.0", "--seed=0")
    drawn = {
        where
        for stage in others
        for flag, where in stage.reads.items()
        if flag in ("--config.data", "--config.problems", "--problems") and "selected" not in where
    }
    assert drawn == {str(tmp_path / "problems" / name) for name in ("train.jsonl", "test.jsonl")}
    assert all("problems" in stage.after for stage in others if "rft1" not in stage.name or "eval" in stage.name)
    assert plan_file.describe(part)["problems"] == "problems/train.jsonl"


def test_a_share_of_the_worlds_problems_is_drawn_after_they_are_made(tmp_path):
    tiny = load(f"{root()}/tests/pipeline/tiny.py", PipelineConfig)
    world, first, _, sft, *_ = recipe.stages(dataclasses.replace(tiny, fraction=0.5), tmp_path)
    assert (world.name, first.name, first.after, sft.after) == ("world", "problems", ("world",), ("problems",))
    assert first.reads["--train"] == str(tmp_path / "world" / "train.jsonl")


def test_the_whole_is_read_where_it_is(config, tmp_path):
    assert draw.drawn(config) is config
    assert {stage.kind for stage in recipe.stages(config, tmp_path)} == {
        "contamination", "train", "sample", "select", "evaluate", "report",
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"fraction": 0.0}, {"fraction": 1.5}, {"test_fraction": -0.5}])
def test_a_share_that_is_none_is_refused(config, tmp_path, change):
    with pytest.raises(UserError, match=r"fraction = .*: it must be above 0 and at most 1"):
        recipe.stages(dataclasses.replace(config, **change), tmp_path)


def test_a_stage_of_that_name_is_in_the_way(config, tmp_path):
    stage = DrawStage(name="problems", train="a", test="b", fraction=1.0, test_fraction=1.0, seed=0)
    with pytest.raises(UserError, match="two models or stages are named 'problems'"):
        recipe.stages(dataclasses.replace(config, fraction=0.5, stages=(stage, *config.stages)), tmp_path)


def test_smollm2s_models_by_their_short_names():
    made = load(f"{root()}/configs/smollm2.py:135m,mine=/a/folder+", PipelineConfig)
    assert made.models == ("smollm2-135m=hf:HuggingFaceTB/SmolLM2-135M", "mine=/a/folder")
    configs = {stage.config for stage in made.stages if hasattr(stage, "config")}
    assert configs == {"configs/sft.py:smollm2"}
    assert any(stage.name == "mine-union2" for stage in made.stages)


def test_the_loop_on_math_is_gsm8ks_with_other_problems(tmp_path):
    ours, gsm8k = (load(f"{root()}/configs/{name}.py:x=/a/folder", PipelineConfig) for name in ("math", "gsm8k"))
    assert ours.stages == gsm8k.stages
    assert (ours.task, ours.problems) == ("math", "hf:DigitalLearningGmbH/MATH-lighteval:default:train")
    assert recipe.stages(ours, tmp_path)[1].flags[:2] == ("--config=configs/sft.py", "--config.task=math")
