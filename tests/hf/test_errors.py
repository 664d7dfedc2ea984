"""Every mistake in a Hugging Face folder is one clear line, and a failed save leaves nothing behind."""

import json
import resource
import shutil
import signal
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from rft_jax import command, runtime
from rft_jax.data import tokenizer
from rft_jax.errors import UserError
from rft_jax.hf import names, pretrained, safetensors, sidecars, weights
from rft_jax.model import architecture

TINY = architecture.size("tiny-gqa")
FP32 = np.dtype(np.float32)
QUERY = "model.layers.1.self_attn.q_proj.weight"


def zeros(config=TINY):
    return {name: np.zeros(shape, FP32) for name, shape in names.shapes(config).items()}


@pytest.fixture
def folder(tmp_path):
    pretrained.write(tmp_path / "model", TINY, zeros().items(), tokenizer_from=None, dtype=FP32)
    return tmp_path / "model"


def rewrite(folder, tensors):
    shapes = {name: array.shape for name, array in tensors.items()}
    safetensors.write(folder / "model.safetensors", shapes, FP32, tensors.items())


def refuses(folder, *words, load=None):
    """Loading raises one line that holds all the words."""
    with pytest.raises(UserError) as caught:
        (load or (lambda: pretrained.load(folder, dtype=None, stacked=True)))()
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line, line


def change_config(folder, **changes):
    path = folder / "config.json"
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not ...}))


def test_no_folder(tmp_path):
    refuses(tmp_path / "absent", f"no model folder {tmp_path / 'absent'}")


def test_no_config(folder):
    (folder / "config.json").unlink()
    refuses(folder, str(folder), "has no config.json")


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    refuses(folder, str(folder), "has no weights", "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gemma"}, ['"gemma"', "llama, mistral, qwen2, qwen3"]),
        ({"model_type": ...}, ["type null"]),
        ({"attention_bias": "yes"}, ['attention_bias is "yes"']),
        ({"mlp_bias": True}, ["mlp_bias is true"]),
        ({"hidden_act": "gelu"}, ['"gelu"', "'silu'"]),
        ({"quantization_config": {"bits": 4}}, ["quantized"]),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, ['unknown rope scaling "dynamic"', "linear, llama3"]),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, ['unknown rope scaling "yarn"']),
        ({"rope_parameters": {"rope_type": "linear"}}, ["factor is null"]),
        ({"rope_scaling": 2.0}, ["rope_scaling 2.0 is not"]),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, ["partial_rotary_factor"]),
        ({"hidden_size": ...}, ["hidden_size is null", "a whole number"]),
        ({"hidden_size": "many"}, ['hidden_size is "many"']),
        ({"num_hidden_layers": True}, ["num_hidden_layers is true"]),
        ({"num_attention_heads": 0}, ["num_attention_heads is 0", "positive"]),
        ({"num_key_value_heads": 3}, ["4 query heads cannot share 3"]),
    ],
)
def test_a_config_that_is_not_ours(folder, changes, words):
    change_config(folder, **changes)
    refuses(folder, str(folder / "config.json"), *words)


@pytest.mark.parametrize("text", ["{", "[]", "\xff", "[" * 100_000])
def test_a_config_that_is_no_json_object(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    refuses(folder, str(folder / "config.json"), "JSON")


def test_missing_tensors(folder):
    tensors = zeros()
    del tensors[QUERY], tensors["lm_head.weight"]
    rewrite(folder, tensors)
    refuses(folder, str(folder), f"lacks {QUERY} and 1 more")


def test_extra_tensors(folder):
    rewrite(folder, zeros() | {"model.layers.0.self_attn.q_proj.bias": np.zeros(3, FP32)})
    refuses(folder, str(folder), "unknown", "model.layers.0.self_attn.q_proj.bias")


def test_rotary_tables_of_old_checkpoints_are_no_extra_tensors(folder):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    rewrite(folder, zeros() | {name: np.zeros(3, FP32), "model.rotary_emb.inv_freq": np.zeros(3, FP32)})
    pretrained.load(folder, dtype=None, stacked=True)


def test_misshapen_tensors(folder):
    rewrite(folder, zeros() | {QUERY: np.zeros((32, 31), FP32)})
    refuses(folder, str(folder), f"{QUERY} is [32, 31], not [32, 32]")


# Layers of different dtypes.


@pytest.fixture
def mixed(folder):
    """A checkpoint of random numbers with one matrix of the second layer in fp16."""
    random = np.random.default_rng(0)
    tensors = {name: random.standard_normal(array.shape, np.float32) for name, array in zeros().items()}
    half = {QUERY: tensors.pop(QUERY).astype(np.float16)}
    rewrite(folder, tensors)
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    safetensors.write(folder / "b.safetensors", {QUERY: half[QUERY].shape}, np.dtype(np.float16), half.items())
    weight_map = {name: "a.safetensors" for name in tensors} | {QUERY: "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("stacked", [True, False])
def test_layers_of_different_dtypes_are_refused_where_no_dtype_is_asked_for(mixed, stacked):
    load = lambda: pretrained.load(mixed, dtype=None, stacked=stacked)  # noqa: E731
    refuses(mixed, str(mixed), QUERY, "float16", "float32", load=load)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("sizes", [None, (1, 4, 2)])
def test_layers_of_different_dtypes_are_cast_to_the_one_asked_for(mixed, dtype, sizes):
    mesh = runtime.make_mesh(*sizes) if sizes else None
    stacked, apart = (pretrained.load(mixed, mesh, dtype=dtype, stacked=stacked) for stacked in (True, False))
    expected = weights.find(mixed)[QUERY].array.astype(dtype)
    assert stacked.layers.query[...].dtype == apart.layers[1].query[...].dtype == dtype
    for leaf in (stacked.layers.query[...][1], apart.layers[1].query[...]):
        np.testing.assert_array_equal(np.asarray(leaf).reshape(expected.shape), expected)
    for name in ("embedding", "final_norm"):
        np.testing.assert_array_equal(np.asarray(getattr(stacked, name)[...]), np.asarray(getattr(apart, name)[...]))


# The head and the embedding.


def tie(folder, head):
    """Makes a tied checkpoint of random numbers that holds a head too: the embedding, changed by `head`."""
    tensors = zeros()
    embedding = np.random.default_rng(0).standard_normal((TINY.vocabulary, TINY.width), np.float32)
    tensors |= {"model.embed_tokens.weight": embedding, "lm_head.weight": head(embedding.copy())}
    rewrite(folder, tensors)
    change_config(folder, tie_word_embeddings=True)


def last_bit(head):
    head.view(np.uint32)[-1, -1] ^= 1
    return head


@pytest.mark.parametrize("compared_bytes", [1, 1000, 2**22])
@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("change", [last_bit, lambda head: head[:-1], lambda head: -head, lambda head: head[::-1]])
def test_a_tied_checkpoint_with_a_head_of_its_own(folder, monkeypatch, change, stacked, compared_bytes):
    monkeypatch.setattr(weights, "_COMPARED_BYTES", compared_bytes)
    tie(folder, change)
    load = lambda: pretrained.load(folder, dtype=None, stacked=stacked)  # noqa: E731
    refuses(folder, str(folder), "lm_head.weight differs", "set tie_word_embeddings to false", load=load)


def test_a_tied_checkpoint_with_the_embedding_as_head(folder):
    def with_nan(head):
        head[3, 4] = np.nan
        return head

    tie(folder, lambda head: head)
    model = pretrained.load(folder, dtype=None, stacked=True)
    assert model.head is None
    tie(folder, with_nan)
    refuses(folder, "lm_head.weight differs")


def test_an_untied_checkpoint_without_head(folder):
    tensors = zeros()
    del tensors["lm_head.weight"]
    rewrite(folder, tensors)
    refuses(folder, "lacks lm_head.weight;", "set tie_word_embeddings to true")


@pytest.mark.parametrize("prefix", ["", "base_model.model.model.", "module.model."])
def test_tensors_under_other_names(folder, prefix):
    rewrite(folder, {prefix + name.removeprefix("model."): array for name, array in zeros().items()})
    refuses(folder, str(folder), f"{prefix}embed_tokens.weight for model.embed_tokens.weight", "AutoModelForCausalLM")


def test_an_adapter_beside_the_weights(folder):
    (folder / "adapter_config.json").write_text("{}")
    refuses(folder, "holds an adapter", "merge it")


# The tokenizer.


def test_no_tokenizer(folder, tmp_path):
    refuses(folder, str(folder), "has no tokenizer", load=lambda: tokenizer.load(folder))
    refuses(folder, "no model folder", load=lambda: tokenizer.load(tmp_path / "absent"))
    model = pretrained.load(folder, dtype=None, stacked=True)
    save = lambda: pretrained.save(model, tmp_path / "saved", tokenizer_from=folder, dtype=jnp.dtype(FP32))  # noqa: E731
    refuses(folder, "has no tokenizer", load=save)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_sentencepiece_tokenizer_without_sentencepiece(folder, monkeypatch):
    (folder / "tokenizer.model").write_bytes(b"")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    refuses(folder, "tokenizer.model needs sentencepiece", load=lambda: tokenizer.load(folder))


def test_a_damaged_tokenizer(folder):
    pytest.importorskip("transformers")
    (folder / "tokenizer.json").write_text("{")
    refuses(folder, "tokenizer.json is not valid JSON", "copy it again", load=lambda: tokenizer.load(folder))


# Saving.


def save_tiny(folder, target):
    pretrained.save(
        pretrained.load(folder, dtype=None, stacked=True), target, tokenizer_from=None, dtype=jnp.dtype(FP32)
    )


def test_a_disk_with_too_little_room_is_told_first(folder, tmp_path, monkeypatch):
    nearly_full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda _: nearly_full)
    refuses(folder, str(tmp_path), "GB free", load=lambda: save_tiny(folder, tmp_path / "saved"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_disk_that_fills_while_writing(folder, tmp_path):
    earlier = (folder / "model.safetensors").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        refuses(folder, "cannot write", "nothing was written", load=lambda: save_tiny(folder, tmp_path / "saved"))
        refuses(folder, "cannot write", "nothing was written", load=lambda: save_tiny(folder, folder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "model.safetensors").read_bytes() == earlier


def test_nowhere_to_write(folder, tmp_path):
    refuses(folder, "cannot write", load=lambda: save_tiny(folder, tmp_path / "absent" / "saved"))


def test_tensors_that_were_not_announced_are_our_mistake(tmp_path):
    for wrong in ({"x": np.zeros((3, 2), FP32)}, {"y": np.zeros((2, 3), FP32)}, {"x": np.zeros((2, 3))}, {}):
        with pytest.raises(ValueError, match="expected tensor x"):
            safetensors.write(tmp_path / "file", {"x": (2, 3)}, FP32, wrong.items())


def test_a_command_prints_the_line_and_exits_with_1(folder, capsys, monkeypatch):
    (folder / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as stopped:
        command.run(lambda: pretrained.load(folder, dtype=None, stacked=True) and None)
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


# Special tokens' numbers.


@pytest.mark.parametrize("ids", [{}, {"eos_token_id": [0, 255]}, {"bos_token_id": 1, "pad_token_id": -1}])
def test_special_tokens_of_the_vocabulary(ids):
    sidecars.check_token_ids(ids, TINY.vocabulary)


@pytest.mark.parametrize("token", [256, -1, 1.0, True, "2", None, [[1]]])
def test_special_tokens_beyond_the_vocabulary(token):
    for given in (token, [2, token]):
        with pytest.raises(UserError, match=r"eos_token_id is .* tokens are 0 to 255"):
            sidecars.check_token_ids({"eos_token_id": given}, TINY.vocabulary)
