"""Seeds: which stages each has its own of, and what they read."""

import dataclasses

import pytest

from rft_jax.config import (
    EvaluateStage,
    PipelineConfig,
    SampleStage,
    SelectStage,
    TrainStage,
    WorldStage,
)
from rft_jax.errors import UserError
from rft_jax.pipeline import recipe
from rft_jax.pipeline.expansion import expanded

CONFIG = PipelineConfig(
    problems="world/train.jsonl",
    test="world/test.jsonl",
    models=("base=models/base",),
    k=4,
    temperature=0.9,
    seed=11,
    seeds=3,
    controls=(),
    stages=(
        WorldStage(name="world", train=4, test=3, seed=5),
        WorldStage(name="corpus", train=1, test=1, seed=1, corpus=9, replicated=False),
        TrainStage(name="better", model="base", data="corpus/corpus.jsonl", replicated=False),
        EvaluateStage(name="eval-base", model="base"),
        EvaluateStage(name="eval-better", model="better"),
        TrainStage(name="sft", model="better", data="gold"),
        SampleStage(name="paths", model="sft", settings=("seed=40",)),
        SelectStage(name="set", paths=("paths",), rules="random"),
        TrainStage(name="rft", model="base", data="set"),
        TrainStage(name="long", model="base", data="gold", steps_of="rft"),
        EvaluateStage(name="eval-sft", model="sft", against=("eval-base",)),
        EvaluateStage(name="eval", model="rft", against=("eval-sft", "eval-base")),
    ),
)
SHARED = ("corpus", "better", "eval-base", "eval-better")


def stages(tmp_path, config=CONFIG):
    return {stage.name: stage for stage in recipe.stages(config, tmp_path)}


def test_each_seed_has_its_own_of_what_depends_on_it():
    made = expanded(CONFIG)
    names = [stage.name for stage in made.config.stages]
    own = ["contamination", *(stage.name for stage in CONFIG.stages if stage.name not in SHARED)]
    assert sorted(names) == sorted(
        [*SHARED, *(f"{name}{suffix}" for name in own for suffix in ("", ".seed12", ".seed13"))]
    )
    assert [made.number[name] for name in SHARED] == [None] * len(SHARED)
    assert (made.number["rft"], made.number["rft.seed13"]) == (0, 2)
    assert made.base["rft.seed13"] == made.base["rft"] == "rft"


def test_a_replicate_reads_its_own_stages_and_the_shared_ones(tmp_path):
    made = stages(tmp_path)
    assert made["sft.seed12"].reads["--config.data"] == f"{tmp_path}/world.seed12/train.jsonl"
    assert made["sft.seed12"].reads["--config.model"] == f"{tmp_path}/better/model"
    assert made["better"].reads["--config.data"] == f"{tmp_path}/corpus/corpus.jsonl"
    assert made["better"].after == ("corpus",)
    assert made["paths.seed13"].reads["--config.problems"] == f"{tmp_path}/world.seed13/train.jsonl"
    assert made["set.seed13"].reads["--problems"] == f"{tmp_path}/world.seed13/train.jsonl"
    assert made["set.seed13"].after == ("world.seed13", "paths.seed13")
    assert made["rft.seed12"].after == ("set.seed12",)
    assert set(made["long.seed12"].after) == {"world.seed12", "rft.seed12"}
    evaluation = made["eval.seed12"]
    assert evaluation.locations["--config.against"] == f"{tmp_path}/eval-sft.seed12,{tmp_path}/eval-base"
    assert evaluation.reads["--config.problems"] == f"{tmp_path}/world.seed12/test.jsonl"
    assert made["eval-base"].reads["--config.problems"] == f"{tmp_path}/world/test.jsonl"


def test_seeds_are_raised_and_a_stages_own_too(tmp_path):
    made = stages(tmp_path)
    assert "--config.seed=11" in made["sft"].flags
    assert "--config.seed=13" in made["sft.seed13"].flags
    assert "--config.seed=40" in made["paths"].flags
    assert "--config.seed=42" in made["paths.seed13"].flags
    assert "--seed=5" in made["world"].flags
    assert "--seed=7" in made["world.seed13"].flags
    assert "--rules=random:11" in made["set"].flags
    assert "--rules=random:13" in made["set.seed13"].flags
    assert "--config.seed=11" in made["better"].flags


def test_seeds_can_be_added_to_a_finished_run(tmp_path):
    """The stages of one seed are those of the first of three, so that what was done stays done."""
    one, three = stages(tmp_path, dataclasses.replace(CONFIG, seeds=1)), stages(tmp_path)
    del one["report"]
    for name, stage in one.items():
        assert three[name].arguments == stage.arguments or three[name].flags == stage.flags
        assert three[name].reads == stage.reads


def test_a_fraction_is_drawn_anew_for_each_seed(tmp_path):
    made = stages(tmp_path, dataclasses.replace(CONFIG, fraction=0.5))
    assert made["problems.seed12"].reads["--train"] == f"{tmp_path}/world.seed12/train.jsonl"
    assert "--seed=12" in made["problems.seed12"].flags
    assert made["sft.seed12"].reads["--config.data"] == f"{tmp_path}/problems.seed12/train.jsonl"


def test_samples_of_an_evaluation_are_selected_from_with_its_problems(tmp_path):
    voting = (EvaluateStage(name="vote", model="sft", settings=("k=3",)), SelectStage(name="found", paths=("vote",)))
    made = stages(tmp_path, dataclasses.replace(CONFIG, stages=(*CONFIG.stages, *voting)))
    found = made["found.seed12"]
    assert found.reads["--problems"] == f"{tmp_path}/world.seed12/test.jsonl"
    assert found.reads["--paths"] == (f"{tmp_path}/vote.seed12/votes/paths/*.jsonl",)
    for paths, why in ((("eval",), "its k is 0"), (("vote", "paths"), "of training problems and of test problems")):
        wrong = dataclasses.replace(CONFIG, stages=(*CONFIG.stages, voting[0], SelectStage(name="x", paths=paths)))
        with pytest.raises(UserError, match=why):
            stages(tmp_path, wrong)
