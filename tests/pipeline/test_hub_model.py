"""A pipeline whose model is the hub's makes what it makes with the same model in a folder, and names the commit."""

import json
import os
from pathlib import Path

import pytest

from rft_jax import config_flag
from rft_jax.config import PipelineConfig
from rft_jax.pipeline import plan_file, recipe
from rft_jax.pipeline.stage import Record
from rft_jax.pipeline.stage_settings import root
from tests.pipeline import tiny, tiny_runs
from tests.remote.fixtures import forget
from tests.remote.fixtures import hub as hub
from tests.remote.fixtures import no_hub as no_hub
from tests.remote.hub_server import Hub, Repository

BASE = root() / "rft_jax" / "world" / "base_model"


@pytest.fixture
def commit(hub: Hub) -> str:
    """The commit of the model a/base."""
    hub.repositories["a/base"] = Repository()
    return hub.repositories["a/base"].commit({file.name: file.read_bytes() for file in BASE.iterdir()})


def test_all_stages_have_one_commit(hub: Hub, commit: str, tmp_path: Path) -> None:
    config = tiny.get_config()
    name = config.models[0].partition("=")[0]
    config = type(config)(**{**config.__dict__, "models": (f"{name}=hf:a/base",)})
    given = [stage.reads.get("--config.model") for stage in recipe.stages(config, tmp_path)]
    assert f"hf:a/base@{commit}" in given
    assert plan_file.describe(config)["models"] == [f"{name}=hf:a/base@{commit}"]
    hub.repositories["a/base"].commit({})
    forget()
    assert [stage.reads.get("--config.model") for stage in recipe.stages(config, tmp_path)] == given


def test_the_config_takes_names_of_the_hub() -> None:
    config = config_flag.load("configs/gsm8k.py:llama2-7b=hf:a/b@v1.0,other=hf:a/c+", PipelineConfig)
    assert config.models == ("llama2-7b=hf:a/b@v1.0", "other=hf:a/c")


@pytest.mark.slow
def test_the_same_as_a_folder(hub: Hub, commit: str, no_hub: Path, undisturbed: Path, tmp_path: Path) -> None:
    name = tiny.get_config().models[0].partition("=")[0]
    there = {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_CACHE": str(no_hub),
        "HF_HUB_DISABLE_XET": "1",
        "XLA_FLAGS": tiny_runs.FLAGS,
    }
    workdir = tmp_path / "run"
    models = f"--config.models={name}=hf:a/base"
    done = tiny_runs.run(workdir, models, env=os.environ | there | {"HF_HUB_OFFLINE": "0"})
    assert done.returncode == 0, done.stderr
    assert tiny_runs.made(workdir) == tiny_runs.made(undisturbed)
    assert len(hub.fetched) == len(set(hub.fetched))

    told = f"hf:a/base@{commit}"
    assert json.loads((workdir / "pipeline.json").read_text())["models"] == [f"{name}={told}"]
    assert json.loads((workdir / "sft" / "run.json").read_text())["settings"]["model"] == told
    assert Record.read(workdir / "sft").done

    hub.asked.clear()
    again = tiny_runs.run(workdir, models, env=os.environ | there | {"HF_HUB_OFFLINE": "1"})
    assert again.returncode == 0, again.stderr
    assert hub.asked == []
