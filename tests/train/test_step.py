"""One step is the same whatever the packing, the remat policy, the accumulation or the mesh; and it is torch's."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.data.batches import Batches
from rft_jax.data.examples import Examples
from rft_jax.hf import pretrained
from rft_jax.model import architecture, llama, partition
from rft_jax.runtime import make_mesh
from rft_jax.train import optimizer, step

CONFIG = dataclasses.replace(architecture.SIZES["tiny-gqa"], vocabulary=253)
LENGTHS = np.random.default_rng(0).integers(14, 40, 48)
STARTS = np.concatenate([[0], np.cumsum(LENGTHS)])
TOKENS = np.random.default_rng(1).integers(0, CONFIG.vocabulary, LENGTHS.sum()).astype(np.int32)
TOKENS[STARTS[:-1, None] + np.arange(5)] = [3, 1, 4, 1, 5]  # as the template's beginning is common to all
EXAMPLES = Examples(
    TOKENS,
    STARTS,
    (LENGTHS // 2).astype(np.int32),
    cut=0,
    emptied=0,
    merged=0,
)
PLAN = Batches(
    examples=EXAMPLES, fraction=1.0, epochs=10, size=24, seed=0, packing="rows", row_length=64,
    normalisation="token_mean", loss_group=4, data_parallel_size=8, accumulation=1,
)  # fmt: skip
SETTINGS = {"dtype": jnp.dtype(jnp.float32), "remat": "none", "attention": "xla", "loss_chunk": 16}


def make_model():
    # Larger weights than at the start of pre-training, so that attention is not flat and differences show.
    model = llama.Llama(CONFIG, jax.random.key(0), dtype=jnp.float32, stacked=True)
    return jax.tree.map(lambda x: 4 * x if x.ndim > 2 else x, model)


def loss_and_gradients(plan=PLAN, sizes=(1, 8, 1), **changes):
    """Returns the loss of the first batch and the gradient, on the host."""
    mesh = make_mesh(*sizes)
    with jax.set_mesh(mesh):
        model = jax.jit(make_model, out_shardings=partition.shardings(jax.eval_shape(make_model), mesh))()
        batch, *_ = step.put(plan[0], False, 0.0, mesh)
        function = jax.jit(lambda *x: step.loss_and_gradients(*x, **{**SETTINGS, **changes}))
        return jax.device_get(function(model, batch))


@pytest.fixture(scope="module")
def reference():
    return loss_and_gradients()


def assert_same(found, expected, rtol=2e-5):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    for gradient, other in zip(jax.tree.leaves(found[1]), jax.tree.leaves(expected[1]), strict=True):
        np.testing.assert_allclose(gradient, other, atol=rtol * np.abs(other).max())


def test_packed_equals_unpacked(reference):
    assert PLAN[0].tokens.shape != dataclasses.replace(PLAN, packing="none")[0].tokens.shape
    assert_same(loss_and_gradients(dataclasses.replace(PLAN, packing="none")), reference)


def test_a_shared_prefix_changes_nothing(reference):
    plan = dataclasses.replace(PLAN, packing="prefix", row_length=50)
    assert EXAMPLES.prefix.tolist() == [3, 1, 4, 1, 5]
    assert plan.token_counts(0)[0] < PLAN.token_counts(0)[0]
    assert_same(loss_and_gradients(plan), reference)
    # Unseen, it would be missed.
    hidden = dataclasses.replace(plan[0], segments=np.where(plan[0].segments == -1, 0, plan[0].segments))
    assert abs(loss_and_gradients([hidden])[0] - reference[0]) > 1e-3


def test_one_device_equals_eight(reference):
    model = make_model()
    found = jax.jit(lambda *x: step.loss_and_gradients(*x, **SETTINGS))(model, jax.tree.map(jnp.asarray, PLAN[0]))
    assert_same(jax.device_get(found), reference)


def test_four_parts_of_32_are_a_batch_of_128():
    plan = dataclasses.replace(PLAN, size=128, packing="none")
    parts = dataclasses.replace(plan, accumulation=4)
    assert parts[0].tokens.shape[:2] == (4, 32)
    assert_same(loss_and_gradients(parts), loss_and_gradients(plan))


def test_segments_matter(reference):
    """The test above would not notice a packing that never puts two examples in a row."""
    merged = dataclasses.replace(PLAN[0], segments=np.ones_like(PLAN[0].segments))
    assert PLAN[0].segments.max() > 1
    loss, _ = loss_and_gradients([merged])
    assert abs(loss - reference[0]) > 1e-3


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_remat_equals_none(reference, remat):
    assert_same(loss_and_gradients(remat=remat), reference)


@pytest.mark.parametrize("sizes", [(8, 1, 1), (2, 2, 2), (1, 2, 4)])
def test_meshes_agree(reference, sizes):
    assert_same(loss_and_gradients(dataclasses.replace(PLAN, data_parallel_size=sizes[0] * sizes[1]), sizes), reference)


@pytest.mark.parametrize("normalisation", ["token_mean", "group_mean"])
def test_accumulation_changes_nothing(normalisation):
    plan = dataclasses.replace(PLAN, normalisation=normalisation, packing="none")
    split = dataclasses.replace(plan, accumulation=3)
    assert split[0].tokens.shape[0] == 3
    assert_same(loss_and_gradients(split), loss_and_gradients(plan))


def test_bf16_is_near(reference):
    loss, gradients = loss_and_gradients(dtype=jnp.dtype(jnp.bfloat16))
    np.testing.assert_allclose(loss, reference[0], rtol=5e-3)
    for gradient, other in zip(jax.tree.leaves(gradients), jax.tree.leaves(reference[1]), strict=True):
        assert gradient.dtype == np.float32  # master weights get fp32 gradients
        cosine = (gradient * other).sum() / np.sqrt((gradient**2).sum() * (other**2).sum())
        assert cosine > 0.995


def run(plan, sizes, steps, weight_decay=0.1):
    mesh = make_mesh(*sizes)
    rate = optimizer.schedule(peak=1e-2, warmup=0.1, decay="cosine", steps=plan.steps)
    adamw = optimizer.adamw(
        beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=weight_decay, clip=1.0, moments=jnp.dtype(jnp.float32)
    )
    with jax.set_mesh(mesh):
        model = jax.jit(make_model, out_shardings=partition.shardings(jax.eval_shape(make_model), mesh))()
        state = step.make_state(model, adamw, mesh)
        take_step = step.make_step(adamw, **SETTINGS)
        with jax.transfer_guard("disallow"):
            lines = []
            for number in range(steps):
                state, metrics = take_step(state, *step.put(plan[number], number == 2, rate(number), mesh))
                lines.append(jax.device_get(metrics))
        return state, lines


def test_a_step_counts_moves_and_tells_the_wish_to_stop():
    state, lines = run(PLAN, (1, 8, 1), 4)
    assert int(state.step) == 4
    assert [int(line["stop"]) for line in lines] == [0, 0, 1, 0]
    assert lines[0]["learning_rate"] == 0
    assert lines[0]["gradient_norm"] > 0
    moments = jax.tree.leaves(state.optimizer)
    assert {leaf.dtype for leaf in moments} == {np.dtype(np.int32), np.dtype(np.float32)}


def test_state_layout_is_the_tables():
    state, _ = run(PLAN, (1, 4, 2), 1)
    mesh = make_mesh(1, 4, 2)
    for leaf, sharding in zip(jax.tree.leaves(state), jax.tree.leaves(step.shardings(state, mesh)), strict=True):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
    bytes_here = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state))
    # Everything but norms is split by all 8 devices, or by 4 where 253 rows do not divide by 2.
    assert bytes_here < 0.27 * sum(leaf.nbytes for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("normalisation", ["token_mean", "group_mean"])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_twenty_steps_beside_torch(tmp_path, normalisation, accumulation):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    plan = dataclasses.replace(PLAN, normalisation=normalisation, accumulation=accumulation)
    assert plan.steps == 20
    folder = tmp_path / "start"
    pretrained.save(make_model(), folder, tokenizer_from=None, dtype=jnp.dtype(jnp.float32))
    theirs = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    torch_adamw = torch.optim.AdamW(theirs.parameters(), lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    schedule = transformers.get_cosine_schedule_with_warmup(torch_adamw, 2, 20)
    losses = []
    for number in range(plan.steps):
        groups = np.split(plan.numbers(number), range(4, plan.size, 4))
        tokens = np.array([EXAMPLES.responses[group].sum() for group in groups])
        of_example = _torch_losses(torch, theirs, plan.numbers(number))
        of_group = torch.stack([part.sum() for part in of_example.split(4)])
        shares = 1 / tokens.sum() if normalisation == "token_mean" else torch.tensor(1 / tokens / len(groups))
        loss = (of_group * shares).sum()
        torch_adamw.zero_grad()
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        torch_adamw.step()
        schedule.step()

    state, lines = run(plan, (2, 2, 2) if accumulation == 1 else (1, 8, 1), plan.steps)
    np.testing.assert_allclose([line["loss"] for line in lines], losses, rtol=1e-4)
    assert losses[-1] < losses[0] - 0.5
    pretrained.save(state.model, tmp_path / "ours", tokenizer_from=None, dtype=jnp.dtype(jnp.float32))
    ours = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "ours", dtype=torch.float32)
    for name, tensor in theirs.state_dict().items():
        difference = ours.state_dict()[name] - tensor
        assert difference.abs().max() < 1e-4, name
        assert difference.norm() < 1e-4 * tensor.norm(), name


def _torch_losses(torch, model, numbers):
    """Returns the summed loss of each example, in a batch padded to the longest."""
    shape = (len(numbers), int(LENGTHS[numbers].max()))
    tokens, targets = torch.zeros(shape, dtype=torch.int64), torch.full(shape, -100)
    for row, number in enumerate(numbers):
        example = torch.tensor(EXAMPLES[number].astype(np.int64))
        tokens[row, : len(example)] = example
        targets[row, EXAMPLES.prompts[number] : len(example)] = example[EXAMPLES.prompts[number] :]
    seen = (torch.arange(shape[1]) < torch.tensor(LENGTHS[numbers])[:, None]).to(torch.int64)
    logits = model(tokens, attention_mask=seen).logits.swapaxes(1, 2)
    loss = torch.nn.functional.cross_entropy(logits[:, :, :-1], targets[:, 1:], ignore_index=-100, reduction="none")
    return loss.sum(dim=1)
