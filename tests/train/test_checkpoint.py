"""Checkpoints come back as they were, on any mesh; those of another run are refused; a full disk loses nothing."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax.errors import UserError
from rft_jax.hf import pretrained
from rft_jax.model import architecture, partition
from rft_jax.model.llama import Llama
from rft_jax.runtime import make_mesh
from rft_jax.train import checkpoint, convert, optimizer, step
from rft_jax.train.checkpoint import Checkpoints, Origin

CONFIG = dataclasses.replace(architecture.SIZES["tiny-gqa"], vocabulary=253)
ORIGIN = Origin(
    model="models/a", model_fingerprint="m1", data="a.jsonl", data_fingerprint="d1", fraction=1.0, batch=128, seed=0,
    architecture=CONFIG, tokenizer="models/a",
)  # fmt: skip
ADAMW = optimizer.adamw(
    beta1=0.9, beta2=0.99, epsilon=1e-8, weight_decay=0.0, clip=1.0,
    moments=jnp.dtype(jnp.float32),
)  # fmt: skip


def make_model():
    return Llama(CONFIG, jax.random.key(3), dtype=jnp.float32, stacked=True)


def make_state(sizes=(1, 8, 1)):
    mesh = make_mesh(*sizes)
    with jax.set_mesh(mesh):
        model = jax.jit(make_model, out_shardings=partition.shardings(jax.eval_shape(make_model), mesh))()
        state = step.make_state(model, ADAMW, mesh)
        # Moments that are not zero, so that their place matters.
        return jax.jit(lambda tree: jax.tree.map(lambda x: x + jnp.asarray(2, x.dtype), tree))(state)


@pytest.fixture(scope="module")
def state():
    return make_state()


@pytest.fixture(scope="module")
def saved(state, tmp_path_factory):
    """A folder with the checkpoints of steps 2 and 3, of three that were saved."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    with Checkpoints(folder, ORIGIN, keep=2) as checkpoints:
        for number in (1, 2, 3):
            checkpoints.save(number, state)
        checkpoints.wait()
    return folder


# The first is what patterns, lists and addresses are made of; Orbax and tensorstore read names as such.
@pytest.mark.parametrize("name", ["lr=1e-5,a [b]*?#%41|{x}:y", r"back\slash", "[1]", '"é"'])
def test_a_folder_may_have_any_name(state, tmp_path, name):
    folder = tmp_path / name / "checkpoints"
    with Checkpoints(folder, ORIGIN, keep=1) as checkpoints:
        checkpoints.save(1, state)
    with Checkpoints(folder, ORIGIN, keep=1) as checkpoints:
        assert checkpoints.latest == 1
        restored = checkpoints.restore(1, state)
    assert jax.tree.all(jax.tree.map(np.array_equal, restored, state))
    tensors = dict(checkpoint.tensors(folder / "1", CONFIG, jax.eval_shape(make_model), np.dtype("float32")))
    np.testing.assert_array_equal(tensors["model.embed_tokens.weight"], state.model.embedding[...])


@pytest.mark.parametrize("sizes", [(1, 8, 1), (2, 2, 2), (8, 1, 1)])
def test_restoring_is_the_identity_on_any_mesh(saved, state, sizes):
    mesh = make_mesh(*sizes)
    abstract = step.abstract_state(CONFIG, ADAMW, mesh)
    with Checkpoints(saved, ORIGIN, keep=2) as checkpoints:
        assert checkpoints.latest == 3
        restored = checkpoints.restore(3, abstract)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for leaf, before, wanted in zip(*map(jax.tree.leaves, (restored, state, abstract)), strict=True):
        assert leaf.sharding == wanted.sharding
        np.testing.assert_array_equal(jax.device_get(leaf), jax.device_get(before))


def test_the_last_n_are_kept(saved):
    assert checkpoint.saved_steps(saved) == [2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "models/b", "model_fingerprint": "m2"}, "of a run with model models/a, this one has model models/b"),
        ({"data": "b.jsonl", "data_fingerprint": "d2"}, "of a run with data a.jsonl, this one has data b.jsonl"),
        ({"data_fingerprint": "d2"}, r"the same name, but other contents: d1, now d2"),
        ({"fraction": 0.5}, "of a run with fraction 1.0, this one has fraction 0.5"),
        ({"batch": 64}, "with batch 128, this one has batch 64"),
        ({"seed": 7}, "with seed 0, this one has seed 7"),
    ],
)
def test_another_run_is_refused(saved, changes, message):
    with pytest.raises(UserError, match=message):
        Checkpoints(saved, dataclasses.replace(ORIGIN, **changes), keep=2)


def test_settings_count_where_both_have_them():
    """In a bucket, where a run of another learning rate, in another workdir, may name the same folder."""
    ours = dataclasses.replace(ORIGIN, settings={"learning_rate": 1e-5, "epochs": 3})
    ours.refuse_other(ORIGIN, "gs://b/run", "--config.checkpoints")
    ORIGIN.refuse_other(ours, "gs://b/run", "--config.checkpoints")
    ours.refuse_other(dataclasses.replace(ours), "gs://b/run", "--config.checkpoints")
    theirs = dataclasses.replace(ORIGIN, settings={"learning_rate": 2e-5, "epochs": 3})
    with pytest.raises(UserError, match="with learning_rate 2e-05, this one has learning_rate 1e-05; give another --c"):
        ours.refuse_other(theirs, "gs://b/run", "--config.checkpoints")


def test_the_same_contents_elsewhere_are_the_same_run(saved):
    moved = dataclasses.replace(ORIGIN, model="elsewhere/a", data="elsewhere/a.jsonl")
    with Checkpoints(saved, moved, keep=2) as checkpoints:
        assert checkpoints.latest == 3


@pytest.mark.parametrize("size", ["tiny", "llama3.2-1b", "llama3-8b", "mistral-7b-v0.1", "qwen3-4b"])
def test_origin_survives_json(tmp_path, size):
    origin = dataclasses.replace(ORIGIN, architecture=architecture.SIZES[size])
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin" / "metadata").write_text(json.dumps(dataclasses.asdict(origin)))
    assert checkpoint.read_origin(tmp_path) == origin


def test_an_architecture_from_before_there_were_options_is_a_plain_llama(tmp_path):
    fields = dataclasses.asdict(ORIGIN)
    fields["architecture"] = {k: v for k, v in fields["architecture"].items() if k not in architecture.PLAIN}
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin" / "metadata").write_text(json.dumps(fields))
    assert checkpoint.read_origin(tmp_path) == ORIGIN


def test_half_a_checkpoint_is_removed(saved, state):
    half = saved / "4.orbax-checkpoint-tmp"
    (half / "state").mkdir(parents=True)
    with Checkpoints(saved, ORIGIN, keep=2) as checkpoints:
        assert checkpoints.latest == 3
    assert not half.exists()


def test_convert_is_export(saved, state, model_folder, tmp_path):
    pretrained.save(state.model, tmp_path / "exported", tokenizer_from=model_folder, dtype=jnp.dtype(jnp.bfloat16))
    convert.convert(saved / "3", tmp_path / "converted", tokenizer=model_folder, dtype="bfloat16")
    names = sorted(path.name for path in (tmp_path / "exported").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "converted").iterdir())
    for name in names:
        assert (tmp_path / "converted" / name).read_bytes() == (tmp_path / "exported" / name).read_bytes(), name


def test_one_layer_is_read_alone(state, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_CHUNK_BYTES", 4096)
    with Checkpoints(tmp_path / "checkpoints", ORIGIN, keep=1) as checkpoints:
        checkpoints.save(1, state)
        checkpoints.wait()
    store = checkpoint._open(tmp_path / "checkpoints" / "1" / "state", "model.layers.down.value")
    assert store.shape == (2, 32, 64)
    assert store.chunk_layout.read_chunk.shape[0] == 1


@pytest.mark.parametrize(
    ("of", "message"),
    [("", "is not a checkpoint of a training run; .*; the steps in there are 2, 3"), ("9", "9 is not a checkpoint")],
)
def test_what_is_no_checkpoint_is_refused(saved, tmp_path, of, message):
    with pytest.raises(UserError, match=message):
        convert.convert(saved / of, tmp_path / "model", tokenizer=None, dtype="bfloat16")


def test_a_tokenizer_that_is_gone_is_asked_for(saved, tmp_path):
    with pytest.raises(UserError, match=r"the run's tokenizer was in models/a.*--tokenizer=DIR"):
        convert.convert(saved / "3", tmp_path / "model", tokenizer=None, dtype="bfloat16")


def test_a_full_disk_stops_with_one_line_and_keeps_the_last_checkpoint(state, small_disk: Path):
    folder = small_disk / "checkpoints"
    checkpoints = Checkpoints(folder, ORIGIN, keep=10)

    def save_many():
        for number in range(1, 20):
            checkpoints.save(number, state)
            checkpoints.wait()

    with pytest.raises(UserError) as caught:
        save_many()
    whole = checkpoint.saved_steps(folder)
    assert 1 <= len(whole) < 19
    assert "\n" not in str(caught.value)
    assert f"no room left; the checkpoint of step {whole[-1]} is whole" in str(caught.value)

    abstract = step.abstract_state(CONFIG, ADAMW, make_mesh(1, 8, 1))
    with Checkpoints(folder, ORIGIN, keep=10) as again:
        assert again.latest == whole[-1]
        restored = again.restore(whole[-1], abstract)
    np.testing.assert_array_equal(restored.model.embedding[...], state.model.embedding[...])


def test_a_model_that_was_recorded_before_is_recognised():
    now, other = (dataclasses.replace(ORIGIN, model_fingerprint=each) for each in ("m1-1", "m1-2"))
    now.refuse_other(ORIGIN, "run", "--workdir")
    with pytest.raises(UserError, match="the same name, but other contents: m1-2, now m1-1"):
        now.refuse_other(other, "run", "--workdir")
