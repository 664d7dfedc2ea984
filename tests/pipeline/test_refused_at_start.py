"""Mistakes that a pipeline finds before anything runs."""

import dataclasses

import pytest

from rft_jax.errors import UserError
from rft_jax.pipeline import models, recipe
from rft_jax.pipeline.stage_settings import root
from tests.pipeline.test_recipe import CONFIG


def test_a_missing_model_is_named(tmp_path):
    given = (f"base={root() / 'rft_jax' / 'world' / 'base_model'}", f"other={tmp_path / 'nowhere'}")
    models.check(dataclasses.replace(CONFIG, models=given[:1]))
    with pytest.raises(UserError, match=r"model other: no model folder .*nowhere; name another folder, or hf:ORG/NAME"):
        models.check(dataclasses.replace(CONFIG, models=given))


def test_a_pipeline_has_at_least_one_seed(tmp_path):
    with pytest.raises(UserError, match="seeds = 0: it must be at least 1"):
        recipe.stages(dataclasses.replace(CONFIG, seeds=0), tmp_path)
