"""Low-rank adapters: gradients and steps are torch's and the same on any mesh; what goes out is what was trained."""

import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.config import TARGETS
from rft_jax.errors import UserError
from rft_jax.hf import adapter, names, pretrained, weights
from rft_jax.hf.safetensors import MappedFile
from rft_jax.hf.sidecars import PromptSidecar
from rft_jax.model import llama, lora, partition
from rft_jax.model.adapters import Adapters
from rft_jax.model.lora import Lora
from rft_jax.runtime import make_mesh
from rft_jax.train import checkpoint, convert, loop, merge, optimizer, step
from tests.train.conftest import save_tokenizer, tiny_texts
from tests.train.test_loop import tiny_config
from tests.train.test_step import CONFIG, EXAMPLES, PLAN, SETTINGS, _torch_losses, assert_same, make_model

F32 = jnp.dtype(jnp.float32)
ALL = Lora(4, 8.0, TARGETS)
STEPS = 5


def make_adapters(of=ALL):
    """Returns adapters whose B is not 0, as after some steps."""
    adapters = Adapters(of, CONFIG, jax.random.key(1))
    leaves, form = jax.tree.flatten(adapters)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    return jax.tree.unflatten(
        form, [x + 0.1 * jax.random.normal(key, x.shape) for key, x in zip(keys, leaves, strict=True)]
    )


def on_mesh(make, mesh):
    return jax.jit(make, out_shardings=partition.shardings(jax.eval_shape(make), mesh))()


def loss_and_gradients(plan=PLAN, sizes=(1, 8, 1), adapters=make_adapters, model=make_model, **changes):
    mesh = make_mesh(*sizes)
    with jax.set_mesh(mesh):
        batch, *_ = step.put(plan[0], False, 0.0, mesh)
        function = jax.jit(lambda *x: step.loss_and_gradients(*x, **{**SETTINGS, **changes}))
        return jax.device_get(function(on_mesh(adapters, mesh), batch, on_mesh(model, mesh)))


@pytest.fixture(scope="module")
def reference():
    return loss_and_gradients()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folders of the base model and of its adapters."""
    root = tmp_path_factory.mktemp("lora")
    pretrained.save(make_model(), root / "base", tokenizer_from=None, dtype=F32)
    save_tokenizer(root / "tokenizer", tiny_texts(), CONFIG.vocabulary)
    adapter.save(
        make_adapters(), ALL, CONFIG, root / "adapter", base=str(root / "base"), revision=None,
        tokenizer_from=root / "tokenizer", prompt=PromptSidecar({}, "", (2,)),
    )  # fmt: skip
    return root


@pytest.mark.slow
def test_fresh_adapters_are_the_base_exactly():
    def fresh():
        return Adapters(ALL, CONFIG, jax.random.key(0))

    tokens = jnp.asarray(PLAN[0].tokens[0])
    index = (jnp.asarray(PLAN[0].segments[0]), jnp.asarray(PLAN[0].positions[0]))
    for dtype in (jnp.float32, jnp.bfloat16):
        model = jax.tree.map(lambda x, dtype=dtype: x.astype(dtype), make_model())
        adapted = llama.with_adapters(model, fresh())
        assert llama.with_adapters(adapted, None).layers.adapters is None
        forward = jax.jit(functools.partial(llama.forward, dtype=jnp.dtype(dtype)))
        bare, same, other = (
            forward(each, tokens, *index) for each in (model, adapted, llama.with_adapters(model, make_adapters()))
        )
        np.testing.assert_array_equal(same, bare)
        assert jnp.abs(other - bare).max() > 0.1
    _, gradients = loss_and_gradients(adapters=fresh)
    for path, gradient in jax.tree.leaves_with_path(gradients):
        assert gradient.any() == partition.role_of(path).endswith("_b")


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(8, 1, 1), (2, 2, 2), (1, 2, 4)])
def test_meshes_agree(reference, sizes):
    plan = dataclasses.replace(PLAN, data_parallel_size=sizes[0] * sizes[1])
    assert_same(loss_and_gradients(plan, sizes), reference)


def test_one_device_equals_eight(reference):
    batch = jax.tree.map(jnp.asarray, PLAN[0])
    found = jax.jit(lambda *x: step.loss_and_gradients(*x, **SETTINGS))(make_adapters(), batch, make_model())
    assert_same(jax.device_get(found), reference)


@pytest.mark.slow
def test_remat_and_accumulation_change_nothing(reference):
    assert_same(loss_and_gradients(remat="full"), reference)
    parts = dataclasses.replace(PLAN, packing="none", accumulation=3)
    assert parts[0].tokens.shape[0] == 3
    assert_same(loss_and_gradients(parts, remat="dots"), reference)


@pytest.mark.slow
def test_a_bf16_base_is_near_and_gradients_are_fp32(reference):
    bf16 = jnp.dtype(jnp.bfloat16)
    loss, gradients = loss_and_gradients(
        model=lambda: jax.tree.map(lambda x: x.astype(bf16), make_model()), dtype=bf16, remat="full"
    )
    np.testing.assert_allclose(loss, reference[0], rtol=5e-3)
    for gradient, other in zip(jax.tree.leaves(gradients), jax.tree.leaves(reference[1]), strict=True):
        assert gradient.dtype == np.float32
        assert (gradient * other).sum() / np.sqrt((gradient**2).sum() * (other**2).sum()) > 0.99


def torch_model(folders):
    """Returns transformers' model with adapters put beside its projections by hand, and these by our names."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    safetensors = pytest.importorskip("safetensors.torch")

    class Adapted(torch.nn.Module):
        def __init__(self, linear, a, b):
            super().__init__()
            self.linear, self.a, self.b = linear, torch.nn.Parameter(a), torch.nn.Parameter(b)

        def forward(self, x):
            return self.linear(x) + ALL.alpha / ALL.rank * (x @ self.a.T) @ self.b.T

    model = transformers.LlamaForCausalLM.from_pretrained(
        folders / "base", dtype=torch.float32, attn_implementation="eager"
    ).requires_grad_(False)
    stored = safetensors.load_file(folders / "adapter" / adapter.WEIGHTS)
    found = {}
    for row in names.TABLE:
        if row.role not in lora.PROJECTIONS:
            continue
        for layer in range(CONFIG.layers):
            name = row.name.format(layer).removesuffix(".weight")
            a, b = (stored.pop(f"base_model.model.{name}.lora_{side}.weight") for side in "AB")
            adapted = Adapted(model.get_submodule(name), a, b)
            model.set_submodule(name, adapted)
            found.setdefault(f"{row.role}_a", []).append(adapted.a)
            found.setdefault(f"{row.role}_b", []).append(adapted.b)
    assert not stored
    return torch, model, found


def adamw():
    return optimizer.adamw(beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.1, clip=1.0, moments=F32)


def test_steps_beside_torch(folders):
    torch, theirs, found = torch_model(folders)
    parameters = [each for group in found.values() for each in group]
    torch_adamw = torch.optim.AdamW(parameters, lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    losses, first = [], {}
    for number in range(STEPS):
        tokens = float(EXAMPLES.responses[PLAN.numbers(number)].sum())
        loss = _torch_losses(torch, theirs, PLAN.numbers(number)).sum() / tokens
        torch_adamw.zero_grad()
        loss.backward()
        losses.append(loss.item())
        first = first or {name: np.stack([x.grad.numpy().copy() for x in group]) for name, group in found.items()}
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        torch_adamw.step()

    mesh = make_mesh(2, 2, 2)
    plan = dataclasses.replace(PLAN, data_parallel_size=4)
    loss, gradients = loss_and_gradients(plan, (2, 2, 2))
    np.testing.assert_allclose(loss, losses[0], rtol=1e-5)
    for path, gradient in jax.tree.leaves_with_path(gradients):
        expected = first[partition.role_of(path)]
        np.testing.assert_allclose(gradient.reshape(expected.shape), expected, atol=2e-5 * np.abs(expected).max())
    ours = []
    with jax.set_mesh(mesh):
        frozen = on_mesh(make_model, mesh)
        state = step.make_state(on_mesh(make_adapters, mesh), adamw(), mesh)
        take_step = step.make_step(adamw(), **SETTINGS)
        for number in range(STEPS):
            state, metrics = take_step(state, *step.put(plan[number], False, 1e-2, mesh), frozen)
            ours.append(float(metrics["loss"]))
    np.testing.assert_allclose(ours, losses, rtol=1e-4)
    assert losses[-1] < losses[0]
    for path, leaf in jax.tree.leaves_with_path(state.model):
        expected = np.stack([each.detach().numpy() for each in found[partition.role_of(path)]])
        assert np.linalg.norm(np.asarray(leaf).reshape(expected.shape) - expected) < 1e-4 * np.linalg.norm(expected)


TOKENS = np.random.default_rng(3).integers(0, CONFIG.vocabulary, (2, 24))


def our_logits():
    """Returns the logits of the model with its adapters, not merged."""
    model = llama.with_adapters(make_model(), make_adapters())
    positions = jnp.broadcast_to(jnp.arange(24, dtype=jnp.int32), TOKENS.shape)
    hidden = llama.forward(model, jnp.asarray(TOKENS, jnp.int32), jnp.ones_like(positions), positions, dtype=F32)
    return np.asarray(model.logits(hidden))


@pytest.mark.parametrize("sizes", [None, pytest.param((1, 4, 2), marks=pytest.mark.slow)])
def test_the_merged_export_has_the_adapted_models_logits(tmp_path, sizes):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    mesh = make_mesh(*sizes) if sizes else None
    model, adapters = (on_mesh(make, mesh) if mesh else make() for make in (make_model, make_adapters))
    pretrained.save(llama.with_adapters(model, adapters), tmp_path / "merged", tokenizer_from=None, dtype=F32)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    with torch.no_grad():
        logits = theirs(torch.tensor(TOKENS)).logits.numpy()
    np.testing.assert_allclose(our_logits(), logits, atol=2e-5 * np.abs(logits).max())


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft uses names that transformers gives up
@pytest.mark.slow
def test_peft_loads_the_adapter_folder(folders):
    peft = pytest.importorskip("peft", reason="peft, which is no dependency: pip install --no-deps peft accelerate")
    torch = pytest.importorskip("torch")
    theirs = peft.AutoPeftModelForCausalLM.from_pretrained(folders / "adapter", is_trainable=True)
    with torch.no_grad():
        logits = theirs(torch.tensor(TOKENS)).logits.numpy()
    np.testing.assert_allclose(our_logits(), logits, atol=2e-5 * np.abs(logits).max())
    with torch.no_grad(), theirs.disable_adapter():
        assert np.abs(theirs(torch.tensor(TOKENS)).logits.numpy() - logits).max() > 0.1

    theirs.zero_grad()
    tokens = float(EXAMPLES.responses[PLAN.numbers(0)].sum())
    loss = _torch_losses(torch, theirs, PLAN.numbers(0)).sum() / tokens
    loss.backward()
    found, gradients = loss_and_gradients()
    np.testing.assert_allclose(found, loss.item(), rtol=1e-5)
    trained = {name: each.grad.numpy() for name, each in theirs.named_parameters() if each.requires_grad}
    assert len(trained) == 2 * len(TARGETS) * CONFIG.layers
    module = {role: target for target, role in lora.ROLES.items()}
    for path, gradient in jax.tree.leaves_with_path(gradients):
        role, side = partition.role_of(path).rsplit("_", 1)
        for layer, ours in enumerate(gradient):
            (name,) = (x for x in trained if f".{layer}." in x and f".{module[role]}.lora_{side.upper()}." in x)
            expected = trained[name]
            np.testing.assert_allclose(ours.reshape(expected.shape), expected, atol=2e-5 * np.abs(expected).max())


def test_the_targets_are_hugging_faces_projections():
    assert tuple(lora.ROLES) == TARGETS
    assert {row.name.split(".")[-2]: row.role for row in names.TABLE if row.name.endswith("_proj.weight")} == lora.ROLES
    axes = {row.role: (row.rows, row.columns) for row in names.TABLE}
    assert {role: axes[role] for role in lora.PROJECTIONS} == lora.PROJECTIONS


def test_what_adapters_cost():
    some = Lora(4, 8.0, ("q_proj", "down_proj"))
    count = some.parameters(CONFIG)
    assert count == sum(x.size for x in jax.tree.leaves(Adapters(some, CONFIG, jax.random.key(0))))
    assert lora.flops_per_token(CONFIG, some) == 4 * CONFIG.parameters + 6 * count
    assert lora.flops_per_token(CONFIG, None) == 6 * CONFIG.parameters


@pytest.mark.slow
def test_frozen_weights_have_no_gradients_in_memory():
    """Not of all layers, and not of the output table, which the loss makes the gradient of when it is trained."""
    config = dataclasses.replace(CONFIG, vocabulary=4096, width=256, heads=4, kv_heads=4, head_width=64, mlp_width=704)
    mesh = make_mesh(1, 1, 1, jax.devices()[:1])
    plan = dataclasses.replace(PLAN, size=1, data_parallel_size=1)
    with jax.set_mesh(mesh):
        state = step.abstract_state(config, adamw(), mesh, Lora(2, 8.0, ("q_proj",)))
        frozen = step.abstract_model(config, mesh, F32)
        take_step = step.make_step(adamw(), **SETTINGS | {"remat": "full"})
        memory = take_step.lower(state, *step.put(plan[0], False, 0.0, mesh), frozen).compile().memory_analysis()
    assert 4 * config.parameters < memory.argument_size_in_bytes < 1.1 * 4 * config.parameters
    assert memory.output_size_in_bytes < 0.01 * 4 * config.parameters
    # XLA for CPUs copies the table twice when it gathers it from its one device; a third would be its gradient.
    assert memory.temp_size_in_bytes < 2.5 * 4 * config.vocabulary * config.width


def lora_config(model_folder, data, /, *, rank=4, alpha=8.0, targets=("q_proj", "v_proj"), export="merged", **changes):
    config = tiny_config(model_folder, data, epochs=2, save_every=2, learning_rate=1e-2, **changes)
    chosen = dataclasses.replace(config.lora, rank=rank, alpha=alpha, targets=targets, export=export)
    return dataclasses.replace(config, lora=chosen)


@pytest.fixture(scope="module")
def finished(model_folder, data, tmp_path_factory):
    """The folder of a run of 5 steps."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    loop.train(lora_config(model_folder, data), workdir, command="the command")
    return workdir


def test_a_checkpoint_holds_adapters_alone(finished):
    origin = checkpoint.read_origin(finished / "checkpoints" / "5")
    assert str(origin.lora) == "rank 4, alpha 8, targets q_proj,v_proj, base float32"
    stored = json.loads((finished / "checkpoints" / "5" / "state" / "_METADATA").read_text())["tree_metadata"]
    assert {name.split(".")[-2] for name in map(str, stored) if "model." in name} == {
        "query_a", "query_b", "value_a", "value_b",
    }  # fmt: skip
    told = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert told[-1]["loss"] < told[0]["loss"]


def test_going_on_gives_the_same_bytes(finished, model_folder, data, tmp_path):
    shutil.copytree(finished / "checkpoints" / "4", tmp_path / "checkpoints" / "4")
    loop.train(lora_config(model_folder, data), tmp_path, command="the command")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (finished / "model" / name).read_bytes()


def test_only_the_targets_change_and_convert_gives_the_same(finished, model_folder, tmp_path):
    base, merged = (dict(weights.find(folder)) for folder in (model_folder, finished / "model"))
    for name, stored in merged.items():
        changed = (stored.array != base[name].array).any()
        assert changed == name.endswith(("q_proj.weight", "v_proj.weight")), name
    convert.convert(finished / "checkpoints" / "5", tmp_path / "converted", tokenizer=None, dtype="float32")
    for name, stored in weights.find(tmp_path / "converted").items():
        np.testing.assert_allclose(stored.array, merged[name].array, rtol=1e-6, atol=1e-7)


def test_the_adapter_export_is_the_merged_one(finished, model_folder, data, tmp_path):
    shutil.copytree(finished / "checkpoints" / "5", tmp_path / "checkpoints" / "5")
    loop.train(lora_config(model_folder, data, export="adapter"), tmp_path, command="the command")
    assert not (tmp_path / "model").exists()
    told = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(model_folder.absolute())
    assert (told["r"], told["lora_alpha"], told["target_modules"]) == (4, 8.0, ["q_proj", "v_proj"])
    stored = MappedFile(tmp_path / "adapter" / adapter.WEIGHTS).tensors
    base, merged = (dict(weights.find(folder)) for folder in (model_folder, finished / "model"))
    name = "model.layers.1.self_attn.v_proj"
    a, b = (stored[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    expected = base[f"{name}.weight"].array + 2 * b @ a
    np.testing.assert_allclose(merged[f"{name}.weight"].array, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(UserError, match="holds an adapter"):
        pretrained.load(tmp_path / "adapter", dtype=None, stacked=True)


def test_bad_input_is_refused_in_one_line(finished, model_folder, data, tmp_path):
    step_folder = str(finished / "checkpoints" / "5")
    wide = {"rank": 4096, "targets": ("q_proj",)}
    cases = [
        (finished, {"rank": 0}, "of a run with lora rank 4, alpha 8, .*, this one has lora rank 0; give another"),
        (finished, {"alpha": 16.0}, "of a run with lora rank 4, alpha 8, .*, this one has lora rank 4, alpha 16"),
        (tmp_path, wide, r"lora.rank = 4096: q_proj of this model has rank \d+ at most"),
        (tmp_path, {"alpha": 0.0}, "lora.alpha = 0.0: it must be above 0"),
        (
            tmp_path,
            {"targets": ("q_prj",)},
            r"called 'q_prj' \(did you mean 'q_proj'\?\); known: q_proj, .*, down_proj",
        ),
        (tmp_path, {"targets": ()}, "lora.targets is empty: give some of q_proj"),
        (tmp_path, {"rank": 0, "export": "adapter"}, "lora.rank = 0 trains no adapters: give --config.lora.rank=16"),
        (tmp_path, {"export": "adapter", "checkpoint": step_folder}, "names the model that the adapters are of"),
        (tmp_path, {"checkpoint": step_folder}, "holds adapters, not a model: .*launch/convert.py --checkpoint"),
    ]
    for workdir, changes, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            loop.train(lora_config(model_folder, data, **changes), workdir, command="the command")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_a_base_that_changed_is_not_merged_into(finished, model_folder, tmp_path):
    origin = checkpoint.read_origin(finished / "checkpoints" / "5")
    other = dataclasses.replace(origin, model_fingerprint="0")
    with pytest.raises(UserError, match=r"holds adapters of .*, which is not there now, or is another"):
        next(merge.tensors(finished / "checkpoints" / "5", other, np.dtype(np.float32)))
