"""The plan of a run on hardware that is not here, from a step compiled for eight fake devices."""

import dataclasses

import pytest

from rft_jax.config import MeshConfig, TrainConfig
from rft_jax.config_flag import load
from rft_jax.model import architecture
from rft_jax.pipeline.stage_settings import root
from rft_jax.plan import plan_training

MODEL = dataclasses.replace(architecture.size("tiny"), width=64, mlp_width=128, vocabulary=512)


@pytest.fixture(scope="module")
def plans():
    """Returns the plans of a run whose parameters are split over the devices, and of one that repeats them."""
    config = load(f"{root()}/configs/sft.py", TrainConfig)
    config = dataclasses.replace(config, row_length=256, max_length=256)
    meshes = {"split": MeshConfig(data=1, fsdp=8, tensor=1), "repeated": MeshConfig(data=8, fsdp=1, tensor=1)}
    return {
        name: plan_training(dataclasses.replace(config, mesh=mesh), MODEL, "a100-80g") for name, mesh in meshes.items()
    }


def test_the_state_is_weights_and_two_moments_in_fp32(plans):
    batch = 5 * 4 * 256 * 128  # what a device gets of the batch is less than this
    assert 12 * MODEL.parameters < plans["repeated"].state < 12 * MODEL.parameters + batch
    assert 12 * MODEL.parameters / 8 < plans["split"].state < 12 * MODEL.parameters / 8 + batch


def test_splitting_saves_the_memory_of_the_state(plans):
    saved = plans["repeated"].state - plans["split"].state
    assert saved == pytest.approx(12 * MODEL.parameters * 7 / 8, rel=0.05)


def test_the_best_time_is_the_papers_flops_at_the_devices_reach(plans):
    plan = plans["split"]
    assert plan.step_flops == 6 * MODEL.parameters * 128 * 232
    assert plan.step_seconds == pytest.approx(plan.step_flops / (8 * 265e12))
    assert plan.steps == 176


def test_what_fits_and_what_does_not(plans):
    plan = plans["split"]
    needed = plan.state + plan.temporary
    assert dataclasses.replace(plan, memory=needed / 0.94).fits
    assert not dataclasses.replace(plan, memory=needed / 0.96).fits
    assert plan.table().startswith("fits: ")
    assert dataclasses.replace(plan, memory=1.0).table().startswith("does not fit: ")
