"""Controls are added where RFT is compared with SFT, once, and nowhere else."""

import dataclasses

import pytest

from rft_jax.config import EvaluateStage, PipelineConfig, SampleStage, SelectStage, TrainStage
from rft_jax.errors import UserError
from rft_jax.pipeline.controls import controlled

SFT = (
    TrainStage(name="sft", model="base", data="gold", settings=("epochs=2",), config="configs/sft.py:llama2-7b"),
    EvaluateStage(name="sft-eval", model="sft"),
    SampleStage(name="paths", model="sft"),
    SelectStage(name="set", paths=("paths",), ks=(3,)),
    TrainStage(name="rft", model="base", data="set", settings=("epochs=2",)),
)
COMPARED = EvaluateStage(name="rft-eval", model="rft", against=("sft-eval",), settings=("k=5",))
CONFIG = PipelineConfig(problems="a", test="b", models=("base=x",), k=4, temperature=0.9, seed=1, stages=())


def made(*stages, **fields):
    config = dataclasses.replace(CONFIG, stages=(*SFT, *stages), **fields)
    return {stage.name: stage for stage in controlled(config).stages[len(SFT) :]}


def test_both_controls_stand_before_the_evaluation_that_needs_them():
    stages = made(COMPARED)
    assert list(stages) == [
        "rft-steps", "rft-steps-eval", "set-random", "rft-random", "rft-random-eval", "rft-eval",
    ]  # fmt: skip
    # SFT in all but its length; RFT in all but its data.
    assert stages["rft-steps"] == dataclasses.replace(SFT[0], name="rft-steps", steps_of="rft")
    assert stages["set-random"] == SelectStage(name="set-random", paths=("paths",), rules="random")
    assert stages["rft-random"] == dataclasses.replace(SFT[-1], name="rft-random", data="set-random")
    assert stages["rft-steps-eval"] == dataclasses.replace(COMPARED, name="rft-steps-eval", model="rft-steps")
    assert stages["rft-random-eval"] == dataclasses.replace(COMPARED, name="rft-random-eval", model="rft-random")
    assert stages["rft-eval"].against == ("sft-eval", "rft-steps-eval", "rft-random-eval")


def test_a_control_that_is_there_is_taken():
    own = (
        # Its settings are those of the SFT that RFT is compared with, but for the epochs, which are late.
        dataclasses.replace(SFT[0], name="long", steps_of="rft", settings=()),
        EvaluateStage(name="long-eval", model="long", against=("sft-eval",)),
    )
    stages = made(*own, COMPARED)
    assert "rft-steps" not in stages
    assert stages["rft-eval"].against == ("sft-eval", "long-eval", "rft-random-eval")


@pytest.mark.parametrize("change", [{"model": "sft"}, {"settings": ("batch=8",)}, {"config": None}])
def test_longer_training_from_another_start_or_with_other_settings_is_no_control(change):
    own = dataclasses.replace(SFT[0], name="long", steps_of="rft", **change)
    stages = made(own, COMPARED)
    assert stages["rft-steps"] == dataclasses.replace(SFT[0], name="rft-steps", steps_of="rft")
    assert stages["rft-eval"].against == ("sft-eval", "rft-steps-eval", "rft-random-eval")
    with pytest.raises(UserError, match="stage rft-steps has the name of a control and other fields"):
        made(dataclasses.replace(own, name="rft-steps"), COMPARED)


def test_another_set_by_the_name_of_a_control_is_refused():
    with pytest.raises(UserError, match="stage set-random has the name of a control"):
        made(SelectStage(name="set-random", paths=("paths",), rules="nearest"), COMPARED)


def test_on_other_problems_controls_are_evaluated_there_and_not_trained_again():
    anew = (
        EvaluateStage(name="fresh-sft", model="sft", problems="fresh.jsonl"),
        EvaluateStage(name="fresh-rft", model="rft", problems="fresh.jsonl", against=("fresh-sft",)),
    )
    stages = made(COMPARED, *anew)
    assert list(stages)[5:] == ["rft-eval", "fresh-sft", "fresh-rft-steps", "fresh-rft-random", "fresh-rft"]
    assert stages["fresh-rft-random"] == dataclasses.replace(anew[1], name="fresh-rft-random", model="rft-random")
    assert stages["fresh-rft"].against == ("fresh-sft", "fresh-rft-steps", "fresh-rft-random")


def test_controls_are_chosen_and_made_once():
    assert list(made(COMPARED, controls=())) == ["rft-eval"]
    assert list(made(COMPARED, controls=("steps",))) == ["rft-steps", "rft-steps-eval", "rft-eval"]
    config = dataclasses.replace(CONFIG, stages=(*SFT, COMPARED))
    once = controlled(config)
    assert controlled(once) == once
    again = dataclasses.replace(once, controls=CONFIG.controls)  # a config that writes them out itself
    assert controlled(again).stages == once.stages


def test_what_is_not_rft_beside_sft_has_no_controls():
    for stage in (
        EvaluateStage(name="alone", model="rft"),
        EvaluateStage(name="again", model="sft", against=("sft-eval",)),
        dataclasses.replace(COMPARED, model="base"),
    ):
        assert list(made(stage)) == [stage.name]
    first_k = TrainStage(name="rft-k3", model="base", data="set", k=3)
    assert list(made(first_k, dataclasses.replace(COMPARED, model="rft-k3"))) == ["rft-k3", "rft-eval"]
    every = SelectStage(name="all", paths=("paths",), rules="none")
    on_every = TrainStage(name="no-dedup", model="base", data="all")
    assert len(made(every, on_every, dataclasses.replace(COMPARED, model="no-dedup"))) == 3
    other_start = TrainStage(name="rft", model="other", data="set")
    config = dataclasses.replace(CONFIG, stages=(*SFT[:-1], other_start, COMPARED))
    assert len(controlled(config).stages) == len(SFT) + 1
