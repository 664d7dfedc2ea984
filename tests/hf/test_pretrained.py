"""Hugging Face folders both ways: identical tensors, torch reads ours, we read torch's, each device gets its slice."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax import runtime
from rft_jax.data import tokenizer
from rft_jax.hf import names, pretrained, weights
from rft_jax.model import architecture, partition
from rft_jax.model.layers import Layer
from rft_jax.model.llama import Llama, forward
from tests.model.conftest import KINDS, random_batch

TINY = architecture.size("tiny-gqa")


def stored(folder):
    return {name: (array.dtype, array.shape, array.tobytes()) for name, (_, array, _) in weights.find(folder).items()}


def random_tensors(config, dtype):
    random = np.random.default_rng(0)
    for name, shape in names.shapes(config).items():
        yield name, random.standard_normal(shape, np.float32).astype(dtype)


@pytest.fixture
def make_folder(tmp_path):
    def make(config=TINY, dtype=jnp.float32, **options):
        folder = tmp_path / "model"
        dtype = jnp.dtype(dtype)
        pretrained.write(folder, config, random_tensors(config, dtype), tokenizer_from=None, dtype=dtype, **options)
        return folder

    return make


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_load_then_save_is_the_identity(make_folder, tmp_path, dtype, stacked, tied):
    folder = make_folder(dataclasses.replace(TINY, tied_embeddings=tied, head_width=6), dtype)
    model = pretrained.load(folder, dtype=None, stacked=stacked)
    assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {jnp.dtype(dtype)}
    pretrained.save(model, tmp_path / "again", tokenizer_from=None, dtype=dtype)
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "again" / "model.safetensors").read_bytes()
    assert (folder / "config.json").read_text() == (tmp_path / "again" / "config.json").read_text()


def test_a_single_layer_is_stacked_too(make_folder):
    model = pretrained.load(make_folder(dataclasses.replace(TINY, layers=1)), dtype=None, stacked=True)
    assert isinstance(model.layers, Layer)
    assert model.layers.gate[...].shape == (1, TINY.mlp_width, TINY.width)


@pytest.mark.parametrize("sizes", [(1, 8, 1), (1, 4, 2), (2, 2, 2)])
@pytest.mark.parametrize("stacked", [True, False])
def test_every_device_receives_its_slice_and_saving_gathers_them(make_folder, tmp_path, sizes, stacked):
    folder = make_folder(dataclasses.replace(TINY, heads=3, kv_heads=3, vocabulary=33), jnp.bfloat16)
    mesh = runtime.make_mesh(*sizes)
    whole = pretrained.load(folder, dtype=None, stacked=stacked)
    model = pretrained.load(folder, mesh, dtype=None, stacked=stacked)
    for path, leaf in jax.tree.leaves_with_path(model):
        place = partition.sharding(partition.role_of(path), leaf.shape, mesh)
        assert leaf.sharding == place
        assert {shard.data.shape for shard in leaf.addressable_shards} == {place.shard_shape(leaf.shape)}
    jax.tree.map(lambda one, many: np.testing.assert_array_equal(np.asarray(one), np.asarray(many)), whole, model)
    pretrained.save(model, tmp_path / "again", tokenizer_from=None, dtype=jnp.bfloat16)
    assert stored(tmp_path / "again") == stored(folder)


def test_only_the_slice_is_read(make_folder, monkeypatch):
    mesh = runtime.make_mesh(2, 2, 2)
    folder = make_folder()
    read, whole = 0, sum(array.nbytes for _, array, _ in weights.find(folder).values())
    read_slice = pretrained._read

    def counting(*arguments, **settings):
        nonlocal read
        result = read_slice(*arguments, **settings)
        read += result.nbytes
        return result

    monkeypatch.setattr(pretrained, "_read", counting)
    pretrained.load(folder, mesh, dtype=None, stacked=True)
    assert read == whole  # once in all: replicas share one reading, and no device reads another's part


def test_loading_casts(make_folder):
    folder = make_folder(dtype=jnp.bfloat16)
    model = pretrained.load(folder, runtime.make_mesh(1, 4, 2), dtype=jnp.float32, stacked=True)
    (_, table, _) = weights.find(folder)["model.embed_tokens.weight"]
    assert model.embedding[...].dtype == jnp.float32
    np.testing.assert_array_equal(np.asarray(model.embedding[...]), table.astype(np.float32))


def test_loaded_parameters_may_be_donated(make_folder):
    # On CPU an array may use the memory that was read into, and replicas may share it: no update may be seen there.
    folder = make_folder(dataclasses.replace(TINY, mlp_width=2048, width=256))  # large enough for huge pages
    for mesh, stacked in itertools.product((None, runtime.make_mesh(8, 1, 1)), (True, False)):
        model = pretrained.load(folder, mesh, dtype=None, stacked=stacked)
        expected = jax.tree.map(lambda leaf: np.asarray(leaf) + 1, model)
        add_one = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
        changed = add_one(model)
        for leaf, value in zip(jax.tree.leaves(changed), jax.tree.leaves(expected), strict=True):
            assert all(np.array_equal(np.asarray(shard.data), value) for shard in leaf.addressable_shards)


def test_loaded_parameters_outlive_their_folder(make_folder, tmp_path):
    # With layers apart they are the file's mapping itself, and training may replace the folder that it started from.
    folder = make_folder()
    model = pretrained.load(folder, dtype=None, stacked=False)
    expected = jax.tree.map(np.array, model)
    pretrained.save(jax.tree.map(jnp.zeros_like, model), folder, tokenizer_from=None, dtype=jnp.float32)
    jax.tree.map(np.testing.assert_array_equal, model, expected)


def test_inside_a_mesh_and_without_implicit_transfers(make_folder, tmp_path):
    folder = make_folder()
    mesh = runtime.make_mesh(2, 2, 2)
    with jax.set_mesh(mesh), jax.transfer_guard("disallow"):
        model = pretrained.load(folder, mesh, dtype=jnp.float32, stacked=True)
        pretrained.save(model, tmp_path / "again", tokenizer_from=None, dtype=jnp.float32)
    assert stored(tmp_path / "again") == stored(folder)


def test_shards_hold_what_one_file_holds(make_folder, tmp_path):
    folder = make_folder()
    sharded = tmp_path / "sharded"
    model = pretrained.load(folder, dtype=None, stacked=True)
    pretrained.save(model, sharded, tokenizer_from=None, dtype=jnp.float32, shard_bytes=20_000)
    files = sorted(file.name for file in sharded.glob("*.safetensors"))
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert stored(sharded) == stored(folder)
    for file in files:
        tensors = weights.safetensors.MappedFile(sharded / file).tensors
        assert len(tensors) == 1 or sum(array.nbytes for array in tensors.values()) <= 20_000
    index = json.loads((sharded / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(len(data) for _, _, data in stored(folder).values())
    assert set(index["weight_map"]) == set(stored(folder))


@pytest.mark.parametrize("name", architecture.SIZES)
def test_the_tables_shapes_are_those_of_the_modules(name):
    config = dataclasses.replace(architecture.size(name), layers=2)
    shapes = names.shapes(config)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == config.parameters
    for stacked in (True, False):
        model = jax.eval_shape(
            lambda stacked=stacked: Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=stacked)
        )
        covered = [name for path, _ in jax.tree.leaves_with_path(model) for name in names.names(path, config)[0]]
        assert sorted(covered) == sorted(shapes)


# Against torch.


def torch_logits(model, tokens):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return model(torch.tensor(tokens, dtype=torch.long)).logits.numpy()


def from_pretrained(folder):
    transformers = pytest.importorskip("transformers")
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto", attn_implementation="eager").eval()


NOT_OF_THE_NETWORK = {
    "architectures", "dtype", "initializer_range", "_name_or_path", "transformers_version", "bos_token_id",
    "eos_token_id", "pad_token_id",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_torch_loads_what_we_save(make_pair, tmp_path, kind):
    pair = make_pair(kind)
    pretrained.save(pair.stacked, tmp_path / "model", tokenizer_from=None, dtype=jnp.float32, shard_bytes=60_000)
    again = from_pretrained(tmp_path / "model")
    ours, theirs = again.state_dict(), pair.torch.state_dict()
    assert set(ours) == set(theirs)
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    tokens = random_batch(pair.stacked.config.vocabulary, rows=2).tokens
    np.testing.assert_array_equal(torch_logits(again, tokens), torch_logits(pair.torch, tokens))
    assert again.config.architectures == [type(pair.torch).__name__]
    saved, meant = (model.config.to_dict() for model in (again, pair.torch))
    unused = set() if meant.get("use_sliding_window") else {"max_window_layers"}
    saved["rope_parameters"].pop("type", None)  # beside rope_type, for old versions
    for name in set(meant) - NOT_OF_THE_NETWORK - unused:
        assert saved[name] == meant[name], name


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_we_load_what_torch_saves_in_shards(make_pair, tmp_path, dtype):
    torch = pytest.importorskip("torch")
    pair = make_pair("llama2-gqa")
    model = from_pretrained(pair.folder).to(getattr(torch, dtype))
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    pretrained.save(
        pretrained.load(tmp_path, dtype=None, stacked=True), tmp_path / "again", tokenizer_from=None, dtype=dtype
    )
    assert stored(tmp_path / "again") == stored(tmp_path)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("sharded", [True, False])
def test_we_load_legacy_files(make_pair, tmp_path, dtype, sharded):
    torch = pytest.importorskip("torch")
    pair = make_pair("llama1")
    model = from_pretrained(pair.folder).to(getattr(torch, dtype))
    model.save_pretrained(tmp_path / "new")
    tensors = {**model.state_dict(), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    groups = [dict(list(tensors.items())[i::2]) for i in range(2)] if sharded else [tensors]
    names = ["pytorch_model.bin"] if not sharded else [f"pytorch_model-{i}-of-2.bin" for i in range(2)]
    old = tmp_path / "old"
    old.mkdir()
    for name, group in zip(names, groups, strict=True):
        torch.save(group, old / name)
    weight_map = {tensor: name for name, group in zip(names, groups, strict=True) for tensor in group}
    if sharded:
        (old / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    fields = json.loads((tmp_path / "new" / "config.json").read_text())
    kept = ("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    (old / "config.json").write_text(json.dumps({name: fields[name] for name in kept}))  # as bare as Llama 1's
    assert stored(old) == stored(tmp_path / "new")
    mesh = runtime.make_mesh(1, 4, 2)
    ours = pretrained.load(old, mesh, dtype=None, stacked=True)
    new = pretrained.load(tmp_path / "new", mesh, dtype=None, stacked=True)
    assert ours.config == new.config
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), ours, new)


def test_old_settings_are_read_as_torch_reads_them(make_pair, tmp_path):
    pair = make_pair("llama3.1-128256")
    fields = json.loads((pair.folder / "config.json").read_text())
    rotary = fields.pop("rope_parameters")
    fields |= {"rope_theta": rotary.pop("rope_theta"), "rope_scaling": rotary}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert pretrained.hf_config.read(tmp_path) == pair.stacked.config


def test_a_tied_checkpoint_may_hold_its_head(make_pair, tmp_path):
    pair = make_pair("llama3.2-tied")
    config, folder = pair.stacked.config, tmp_path / "model"
    pretrained.save(pair.stacked, folder, tokenizer_from=None, dtype=jnp.float32)
    tensors = {name: array for name, (_, array, _) in weights.find(folder).items()}
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    shapes = {name: array.shape for name, array in tensors.items()}
    weights.safetensors.write(folder / "model.safetensors", shapes, np.dtype(np.float32), tensors.items())
    model = pretrained.load(folder, dtype=None, stacked=False)
    assert model.head is None
    assert model.config == config


def test_stacked_and_apart_agree(make_pair):
    pair = make_pair("llama3")
    batch = random_batch(pair.apart.config.vocabulary)
    logits = [
        np.asarray(
            model.logits(forward(model, *map(jnp.asarray, dataclasses.astuple(batch)), dtype=jnp.dtype(jnp.float32)))
        )
        for model in (pair.stacked, pair.apart)
    ]
    np.testing.assert_allclose(*logits, rtol=0, atol=1e-5)
    np.testing.assert_allclose(logits[0], torch_logits(pair.torch, batch.tokens), rtol=0, atol=1e-5)


# Beside the weights.


@pytest.fixture
def base(make_folder):
    tokenizers = pytest.importorskip("tokenizers")
    folder = make_folder()
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "</s>": 1, "one": 2}, unk_token="<s>"))
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"})
    )
    fields = json.loads((folder / "config.json").read_text()) | {"bos_token_id": 0, "eos_token_id": 1}
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "generation_config.json").write_text('{"eos_token_id": [1, 2], "temperature": 0.6}')
    return folder


def test_tokenizer_and_generation_settings_go_along(base, tmp_path):
    saved = tmp_path / "saved"
    model = pretrained.load(base, dtype=None, stacked=True)
    pretrained.save(model, saved, tokenizer_from=base, dtype=jnp.bfloat16)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (saved / name).read_bytes() == (base / name).read_bytes()
    fields = json.loads((saved / "config.json").read_text())
    assert (fields["bos_token_id"], fields["eos_token_id"], fields["dtype"]) == (0, 1, "bfloat16")
    pretrained.save(model, saved, tokenizer_from=saved, dtype=jnp.float32)  # over itself
    assert stored(saved) == stored(base)


def test_tokenizer_loads_offline(base):
    assert tokenizer.load(base)("one")["input_ids"] == [2]
