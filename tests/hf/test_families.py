"""A config.json of each family is read as transformers reads it; what the network cannot be is refused in one line."""

import dataclasses
import json

import pytest

from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import families
from rft_jax.model import architecture

BARE = {
    "vocab_size": 96, "hidden_size": 4096, "intermediate_size": 56, "num_hidden_layers": 3, "num_attention_heads": 64,
}  # fmt: skip
WINDOW = {"use_sliding_window": True, "sliding_window": 64}
FULL, SLIDING = "full_attention", "sliding_attention"


@pytest.fixture
def read(tmp_path):
    """Returns a function that reads a config.json of these fields."""

    def read(**fields):
        (tmp_path / "config.json").write_text(json.dumps(BARE | fields))
        return hf_config.read(tmp_path)

    return read


@pytest.mark.parametrize("family", families.FORMS)
def test_absent_fields_are_what_transformers_takes(read, family):
    transformers = pytest.importorskip("transformers")
    ours = read(model_type=family)
    theirs = transformers.AutoConfig.for_model(family, **BARE)
    classes = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    assert families.FORMS[family].architecture == classes[family]
    assert ours.family == family
    assert ours.kv_heads == theirs.num_key_value_heads
    assert ours.head_width == (getattr(theirs, "head_dim", None) or 4096 // 64)
    assert ours.max_positions == theirs.max_position_embeddings
    assert ours.rms_epsilon == theirs.rms_norm_eps
    assert ours.rope_theta == theirs.rope_parameters["rope_theta"]
    assert ours.tied_embeddings == theirs.tie_word_embeddings
    assert ours.window == getattr(theirs, "sliding_window", None)
    assert ours.output_bias == getattr(theirs, "attention_bias", False)


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sliding_window": 64, "max_window_layers": 1},
        {"use_sliding_window": False, "sliding_window": 64, "max_window_layers": 0, "layer_types": [FULL] * 3},
        WINDOW,
        WINDOW | {"max_window_layers": 3},
        WINDOW | {"max_window_layers": 2},
        WINDOW | {"max_window_layers": 0},
        WINDOW | {"max_window_layers": 2, "layer_types": [FULL, SLIDING, SLIDING]},
        WINDOW | {"layer_types": [SLIDING] * 3},
        WINDOW | {"max_window_layers": 0, "layer_types": [FULL] * 3},
        WINDOW | {"max_window_layers": 0, "layer_types": None},
        WINDOW | {"sliding_window": None, "max_window_layers": 0},
    ],
)
def test_the_layers_that_have_a_window(read, family, fields):
    transformers = pytest.importorskip("transformers")
    config = read(model_type=family, **fields)
    theirs = transformers.AutoConfig.for_model(family, **BARE | fields)
    windows = [window for layers, window in config.spans() for _ in layers]
    assert windows == [theirs.sliding_window if kind == SLIDING else None for kind in theirs.layer_types]


@pytest.mark.parametrize(
    ("fields", "window"),
    [
        ({}, 4096),
        ({"sliding_window": None}, None),
        ({"sliding_window": 8}, 8),
        ({"sliding_window": 8, "use_sliding_window": False}, 8),  # transformers' Mistral has no such switch
        ({"sliding_window": 8, "layer_types": [SLIDING] * 3}, 8),
        ({"sliding_window": None, "layer_types": [FULL] * 3}, None),
    ],
)
def test_mistral(read, fields, window):
    config = read(model_type="mistral", **fields)
    assert list(config.spans()) == [(range(3), window)]


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("given", [True, False, None])
def test_biases_that_are_asked_for(read, family, given):
    config = read(model_type=family, attention_bias=given)
    assert (config.qkv_bias, config.output_bias) == (bool(given), bool(given))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model_type": "gemma2"}, ['type "gemma2"', "llama, mistral, qwen2, qwen3"]),
        ({"model_type": "qwen3_moe"}, ['type "qwen3_moe"']),
        ({"model_type": None}, ["type null"]),
        ({"model_type": ["llama"]}, ['type ["llama"]']),
        ({"model_type": "mistral", "attention_bias": True}, ["attention_bias is true", "mistral models"]),
        ({"model_type": "mistral", "layer_types": [FULL] * 3}, ["layer_types", "the first 0 of 3 layers"]),
        ({"model_type": "mistral", "sliding_window": 0}, ["sliding_window is 0"]),
        ({"model_type": "mistral", "max_window_layers": 2}, ["max_window_layers is 2"]),
        ({"model_type": "mistral", "use_sliding_window": True}, ["use_sliding_window is true"]),
        ({"model_type": "qwen2", "attention_bias": True}, ["attention_bias is true"]),
        ({"model_type": "qwen2", "use_sliding_window": "yes"}, ['use_sliding_window is "yes"']),
        ({"model_type": "qwen2", "layer_types": [SLIDING] * 3}, ["layer_types", "the first 3 of 3 layers"]),
        ({"model_type": "qwen2", **WINDOW, "layer_types": [FULL]}, ["layer_types", "a list of 3"]),
        ({"model_type": "qwen2", **WINDOW, "layer_types": [SLIDING, FULL, FULL]}, ["come after others"]),
        ({"model_type": "qwen2", **WINDOW, "max_window_layers": False}, ["max_window_layers is false"]),
        ({"model_type": "qwen2", **WINDOW, "max_window_layers": None}, ["max_window_layers is null"]),
        ({"model_type": "qwen2", **WINDOW, "sliding_window": True}, ["sliding_window is true"]),
        ({"model_type": "qwen2", "num_experts": 8}, ["num_experts is 8", "qwen2 models"]),
        ({"model_type": "qwen3", "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, ['rope scaling "yarn"']),
        ({"model_type": "qwen2", "rope_scaling": {"type": "dynamic", "factor": 2.0}}, ['rope scaling "dynamic"']),
        ({"model_type": "llama", "sliding_window": 64}, ["sliding_window is 64"]),
        ({"model_type": "llama", "layer_types": [SLIDING] * 3}, ["layer_types", "the first 3 of 3 layers"]),
        ({"model_type": "llama", "mlp_bias": True}, ["mlp_bias is true"]),
    ],
)
def test_what_is_refused(read, fields, words):
    with pytest.raises(UserError) as caught:
        read(**fields)
    line = str(caught.value)
    assert "\n" not in line
    for word in ("config.json", *words):
        assert word in line, line


OPTIONS = {"qkv_bias": True, "output_bias": True, "query_key_norm": True, "window": 16}


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("llama", ["query_key_norm", "window"]),
        ("mistral", ["qkv_bias", "output_bias", "query_key_norm"]),
        ("qwen2", ["output_bias", "query_key_norm"]),
    ],
)
def test_an_option_that_a_family_lacks_is_not_written(tmp_path, family, options):
    sizes = {"llama": "tiny", "mistral": "mistral-7b-v0.3", "qwen2": "qwen2.5-0.5b"}
    for option in options:
        config = dataclasses.replace(architecture.size(sizes[family]), **{option: OPTIONS[option]})
        with pytest.raises(UserError, match=f"a model of type {family} cannot have {option} {OPTIONS[option]}"):
            hf_config.write(tmp_path, config, "float32", {})
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", architecture.SIZES)
def test_every_published_size_is_read_as_it_is_written(tmp_path, name):
    hf_config.write(tmp_path, architecture.size(name), "bfloat16", {})
    assert hf_config.read(tmp_path) == architecture.size(name)
