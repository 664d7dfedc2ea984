"""The paper's experiments: complete at every size, and nothing is made twice."""

import dataclasses
from pathlib import Path

import pytest

from rft_jax.config import DrawStage, PipelineConfig, TrainStage, WorldStage
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.paper.claims import claims
from rft_jax.paper.preset import PRESETS
from rft_jax.pipeline import recipe
from rft_jax.pipeline.expansion import expanded

CONFIGS = Path(__file__).parents[2] / "configs" / "paper"
EXPERIMENTS = sorted(file.stem for file in CONFIGS.glob("*.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder for folders that stand for models, so that none is asked of the hub."""
    return tmp_path_factory.mktemp("models")


def experiment(name, size, folder):
    made = load(f"{CONFIGS / name}.py:{size}", PipelineConfig)
    names = [model.partition("=")[0] for model in made.models]
    for each in names:
        (folder / each).mkdir(exist_ok=True)
    return dataclasses.replace(made, models=tuple(f"{each}={folder / each}" for each in names))


@pytest.mark.parametrize("size", PRESETS)
def test_every_experiment_is_a_pipeline_and_shares_what_others_need(size, folder, tmp_path):
    """In one workdir it is made once: one name for the same command on the same inputs, in every experiment."""
    by_name, by_command, whole = {}, {}, ()
    for name in EXPERIMENTS:
        config = experiment(name, size, folder)
        *stages, last = recipe.stages(config, tmp_path)
        assert last.name == "report"
        names = {stage.name for stage in stages}
        assert [stage for each in config.experiments for stage in each.stages if stage not in names] == []
        whole = names if name == "all" else whole
        for stage in stages:
            command = (stage.script, *stage.flags, *sorted(map(str, stage.reads.items())), *stage.after)
            assert by_name.setdefault(stage.name, command) == command
            assert by_command.setdefault(command, stage.name) == stage.name
    assert whole == set(by_name)


def test_no_model_is_trained_twice():
    """Two trainings of one size differ in data, start, length or seed."""
    for size in PRESETS:
        made = expanded(load(f"{CONFIGS / 'all'}.py:{size}", PipelineConfig)).config
        trained = [dataclasses.replace(stage, name="") for stage in made.stages if isinstance(stage, TrainStage)]
        assert len(trained) == len(set(trained))


def test_pretrained_models_of_the_miniature_are_shared_by_its_seeds():
    made = expanded(load(f"{CONFIGS / 'all'}.py:tiny", PipelineConfig))
    shared = [name for name, number in made.number.items() if number is None]
    assert {"middle", "late", "corpus", "held-out", "middle-eval", "late-loss"} <= set(shared)
    assert "early-eval" not in shared  # its votes are drawn by the seed
    assert not any(isinstance(stage, DrawStage) for stage in made.config.stages)
    assert sum(isinstance(stage, WorldStage) for stage in made.config.stages) == 2 + 3


@pytest.mark.parametrize("size", PRESETS)
def test_the_claims_compare_what_the_experiments_evaluate(size):
    made = expanded(load(f"{CONFIGS / 'all'}.py:{size}", PipelineConfig)).config
    names = {stage.name for stage in made.stages}
    compared = [each for claim in claims(PRESETS[size]) for each in claim.pairs]
    assert len(compared) > 10
    assert [name for each in compared for name in (each.first, each.second) if name not in names] == []


def test_a_size_or_experiment_that_does_not_exist_lists_those_that_do():
    with pytest.raises(UserError, match=r"no size 'small'.*full, smollm2, tiny"):
        load(f"{CONFIGS / 'rft'}.py:small", PipelineConfig)
    with pytest.raises(UserError, match=r"did you mean 'rft_k'.*has all, data_fraction, .*votes"):
        load(f"{CONFIGS / 'rftk'}.py:tiny", PipelineConfig)
