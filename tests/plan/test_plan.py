"""The plan of a run on hardware that is not here: by the vendor's compiler where it is installed, else by the CPU's."""

import dataclasses

import jax
import numpy as np
import pytest

from rft_jax.config import MeshConfig, SampleConfig, TrainConfig
from rft_jax.config_flag import load
from rft_jax.errors import UserError
from rft_jax.hardware import HARDWARE, Cuda
from rft_jax.hf import config as hf_config
from rft_jax.model import architecture
from rft_jax.pipeline.stage_settings import root
from rft_jax.plan import answer, compiled, cost, lengths, paper, plan, sampling, show, target, training

MODEL = dataclasses.replace(architecture.size("tiny-gqa"), width=256, mlp_width=256, vocabulary=512, head_width=64)
GPU, TPU = "a100-80g", "tpu-v5e"


@pytest.fixture(scope="module")
def config():
    settings = load(f"{root()}/configs/sft.py", TrainConfig)
    return dataclasses.replace(settings, row_length=256, max_length=256)


@pytest.fixture(scope="module")
def fake():
    """Eight fake CPU devices that stand for A100s."""
    known = HARDWARE[GPU]
    return target.Target(GPU, known, "gpu", tuple(jax.devices()[:8]), 8, vendor=False)


@pytest.fixture(scope="module")
def plans(config, fake):
    """Returns the plans of a run whose parameters are split over the devices, and of one that repeats them."""
    meshes = {"split": MeshConfig(data=1, fsdp=8, tensor=1), "repeated": MeshConfig(data=8, fsdp=1, tensor=1)}
    return {
        name: plan.of_training(dataclasses.replace(config, mesh=mesh), MODEL, fake) for name, mesh in meshes.items()
    }


def test_the_state_is_weights_and_two_moments_in_fp32(plans):
    batch = 5 * 4 * 256 * 128  # what a device gets of the batch is less than this
    assert 12 * MODEL.parameters < plans["repeated"].step.arguments < 12 * MODEL.parameters + batch
    assert 12 * MODEL.parameters / 8 < plans["split"].step.arguments < 12 * MODEL.parameters / 8 + batch


def test_splitting_saves_the_memory_of_the_state(plans):
    saved = plans["repeated"].step.arguments - plans["split"].step.arguments
    assert saved == pytest.approx(12 * MODEL.parameters * 7 / 8, rel=0.05)


def test_without_the_vendors_compiler_the_floor_is_the_papers_flops(plans):
    made = plans["split"]
    assert made.useful == 6 * MODEL.parameters * 128 * 232 / 8
    assert made.step_seconds == pytest.approx(made.useful / 265e12)
    assert made.steps == 176
    assert made.device_hours == pytest.approx(176 * made.step_seconds * 8 / 3600)
    assert "rft-jax[cuda13]" in show.text(made)


def test_what_fits_and_what_does_not(plans):
    step = plans["split"].step
    assert step.fits(step.memory / 0.94)
    assert not step.fits(step.memory / 0.96)
    assert show.text(plans["split"], paper_hours=0.6).startswith("fits: ")


@pytest.mark.slow
def test_what_does_not_fit_gets_settings_that_do(config, fake, plans):
    memory = 0.6 * plans["repeated"].step.memory  # too little for repeated parameters, enough for split ones
    small = dataclasses.replace(fake, known=dataclasses.replace(fake.known, memory=memory))
    repeated = dataclasses.replace(config, mesh=MeshConfig(data=8, fsdp=1, tensor=1))
    text = answer.of(repeated, MODEL, None, small)
    assert text.startswith("does not fit: ")
    assert "would fit (compiled): --config.mesh.data=1 --config.mesh.fsdp=8" in text


def test_which_model_is_planned(config, tmp_path):
    llama = architecture.size("llama2-7b")
    assert answer.model_of(config, None, "configs/sft.py:llama2-7b:paper") == (llama, "llama2-7b")
    assert answer.model_of(config, "llama2-7b", "configs/sft.py:llama2-13b") == (llama, "llama2-7b")
    with pytest.raises(UserError, match="which model"):
        answer.model_of(config, None, "configs/sample.py:paper")
    # A folder counts before the size for which the settings are, and is not that size only because they are.
    hf_config.write(tmp_path, MODEL, "float32", {})
    own = dataclasses.replace(config, model=str(tmp_path))
    planned, name = answer.model_of(own, None, "configs/sft.py:llama2-7b")
    assert (planned.width, name) == (MODEL.width, None)


def test_costs_are_extended_along_a_line():
    def step(layers):
        return cost.Cost(10.0 + layers, 5.0, flops=3.0 * layers, sent={"all-gather": 2.0 * layers})

    assert cost.extended(step(2), step(4), (2, 4), 32) == step(32)


@pytest.mark.parametrize(
    ("error", "arguments", "gib"),
    [
        ("Ran out of memory. Used 20.50G of 15.75G hbm. Exceeded by 4.75G.\n  arguments  4.50G", 4.5, 20.5),
        ("Ran out of memory on HBM, the total memory required for HLO temporaries (256.00G) exceeds", 0, 256),
    ],
)  # fmt: skip
def test_what_a_compiler_refuses_is_told(error, arguments, gib):
    refused = cost.of_refusal(f"RESOURCE_EXHAUSTED: {error}")
    assert (refused.arguments / 2**30, refused.memory / 2**30) == (arguments, gib)


def test_another_failure_of_a_compiler_is_an_error():
    with pytest.raises(UserError, match="INTERNAL: no"):
        cost.of_refusal("INTERNAL: no\nmore")


def test_lengths_are_gsm8ks():
    found = lengths.gsm8k(512)
    assert len(found.prompts) == 7473
    assert np.mean(found.prompts) + lengths.PREFIX == pytest.approx(101, abs=0.5)
    assert np.mean(found.responses) == pytest.approx(131, abs=0.5)
    for share, tokens in ((0.9, 208), (0.99, 306), (1.0, 476)):
        assert np.quantile(found.responses, share) == pytest.approx(tokens, abs=1)


@pytest.mark.parametrize(
    ("chips", "axes", "shape"),
    [(1, 2, "1x1"), (4, 2, "2x2"), (8, 2, "2x4"), (32, 2, "4x8"), (4, 3, "2x2x1"), (8, 3, "2x2x2"), (32, 3, "2x4x4")],
)
def test_slices(chips, axes, shape):
    assert "x".join(map(str, target.slice_shape(chips, axes))) == shape


def test_no_slice_has_twelve_chips():
    with pytest.raises(UserError, match="8 or 16"):
        target.slice_shape(12, 2)


def test_every_row_of_the_paper_has_its_hours():
    assert set(paper.SFT_HOURS) == set(paper.SAMPLING_HOURS)
    for size in paper.SFT_HOURS:
        assert load(f"{root()}/configs/sft.py:{size}", TrainConfig).mesh.fsdp in (8, 16, 32)


def vendor(hardware):
    if not target.has_compiler(hardware):
        extra = "cuda13" if isinstance(HARDWARE[hardware].compiler, Cuda) else "tpu"
        pytest.skip(f"the vendor's compiler for {hardware} is not installed (extra {extra})")
    return target.make(hardware, 1, 8)


@pytest.fixture
def lowered():
    return jax.jit(lambda x: x * 2).lower(jax.ShapeDtypeStruct((8,), "float32"))


def test_a_kept_program_is_not_compiled_again(fake, lowered, tmp_path, monkeypatch):
    keeping = dataclasses.replace(fake, kept=tmp_path / "kept")
    made = compiled.of(lowered, keeping)
    assert made == compiled.of(lowered, fake)
    (file,) = keeping.kept.iterdir()
    another = jax.jit(lambda x: x * 3).lower(jax.ShapeDtypeStruct((8,), "float32"))
    compiled.of(another, keeping)
    compiled.of(lowered, dataclasses.replace(keeping, per_host=4))
    assert len(list(keeping.kept.iterdir())) == 3
    monkeypatch.setattr(compiled, "_compile", None)
    assert compiled.of(lowered, keeping) == made
    file.write_bytes(b"{")
    with pytest.raises(UserError, match=rf"{file.name}: not a kept program .*; delete it"):
        compiled.of(lowered, keeping)


@pytest.mark.parametrize(("refusal", "kept"), [("RESOURCE_EXHAUSTED: Used 3G", 1), ("UNAVAILABLE: a file", 0)])
def test_only_a_lack_of_memory_is_kept(fake, lowered, tmp_path, monkeypatch, refusal, kept):
    monkeypatch.setattr(compiled, "_compile", lambda lowered, target: compiled.Compiled(0, 0, "", refusal))
    compiled.of(lowered, dataclasses.replace(fake, kept=tmp_path))
    assert len(list(tmp_path.iterdir())) == kept


def test_the_table_shows_that_half_as_many_do_not_do(fake, monkeypatch):
    """On the fewest devices that hold the weights and a problem: 33B's weights are 61 GiB, 65B's 122."""

    def make(hardware, hosts, chips, kept):
        return dataclasses.replace(fake, devices=tuple(jax.devices()[: hosts * chips]), per_host=chips)

    def of_sampling(config, model, target, *, all_layers):
        rows = sampling.choose(config, model, target).sizes.rows
        used = cost.Cost(0.9 * target.known.memory, 0.0)
        mesh = dataclasses.asdict(config.mesh)
        return plan.Plan(target, mesh, f"rows={rows}", used, 1.0, 1.0, 0.0, (rows, "tokens"))

    monkeypatch.setattr(paper, "make", make)
    monkeypatch.setattr(plan, "of_sampling", of_sampling)
    configs = (lambda size: load(f"{root()}/configs/sample.py:{size}", SampleConfig),)
    cells = [
        [cell.strip() for cell in line.split("|")[1:6]]
        for line in list(paper.rows(None, *configs, ("gpu",), only="sample llama-"))[1:]
    ]
    assert [(run.removeprefix("sample "), devices[0]) for run, devices, *_ in cells] == [
        ("llama-33b", "1"), ("llama-33b", "2"), ("llama-65b", "2"), ("llama-65b", "4"),
    ]  # fmt: skip
    (_, _, alone, _, none), _, (_, _, two, _, no_room), (*_, on_two) = cells
    assert (none, no_room) == ("–", "**no room** beside 121.6 of weights")
    assert two == f"tensor 2; {on_two}"
    assert 1 < int(alone.partition("rows=")[2]) < 100


@pytest.mark.slow
@pytest.mark.parametrize(("heads", "kv_heads"), [(13, 13), (8, 8), (16, 2)])
def test_what_a_sweep_needs_is_reckoned(heads, kv_heads):
    """The heads on a device of 33B on 4 chips fill no tile; those of 7B do, and those of 70B, in groups."""
    vendor(TPU)
    one = target.make(TPU, 1, 1)
    model = dataclasses.replace(MODEL, layers=3, width=1024, heads=heads, kv_heads=kv_heads, head_width=128)
    settings = dataclasses.replace(load(f"{root()}/configs/sample.py", SampleConfig), rows=256, max_new_tokens=64)
    decoding = sampling.choose(settings, model, one)
    needed = cost.of(sampling.lower(settings, decoding), one).temporary
    assert needed < decoding.temporary


@pytest.mark.parametrize("hardware", [GPU, TPU])
def test_a_training_step_compiles_for_the_vendors_devices(config, hardware):
    devices = vendor(hardware)
    config = dataclasses.replace(config, mesh=MeshConfig(data=1, fsdp=8, tensor=1), batch=32)
    step = training.step_cost(config, MODEL, devices)
    assert 12 * MODEL.parameters / 8 < step.arguments < 12 * MODEL.parameters / 8 + 2**20
    assert step.fits(devices.known.memory)
    # Each layer's products are computed once forward, once again, and twice backward; attention comes on top.
    tokens = 32 * 256 / 8
    products = 2 * (MODEL.parameters - MODEL.vocabulary * MODEL.width) * tokens
    assert 3 * products < step.flops < 5 * products
    assert step.sent["all-gather"] > 0
    assert 0 < step.seconds < 1


@pytest.mark.parametrize("hardware", [GPU, TPU])
def test_a_decode_step_compiles_for_the_vendors_devices(hardware):
    devices = vendor(hardware)
    settings = load(f"{root()}/configs/sample.py", SampleConfig)
    settings = dataclasses.replace(settings, rows=64, max_new_tokens=64)
    decoding = sampling.choose(settings, MODEL, devices)
    step = plan.of_sampling(settings, MODEL, devices).step
    assert step.fits(devices.known.memory)
    # Weights are read once, and what each row holds; nothing is multiplied twice.
    assert step.flops > 2 * 64 * (MODEL.parameters - MODEL.vocabulary * MODEL.width)
    assert sum(step.moved.values()) > decoding.needed(0)
