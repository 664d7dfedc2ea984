"""A config.json is read as transformers reads it, or refused: no field changes the network unseen."""

import dataclasses
import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import pretrained
from rft_jax.model import architecture
from rft_jax.model.architecture import LinearScaling, Llama3Scaling
from rft_jax.model.llama import forward
from tests.model.conftest import random_batch

LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
WINDOW = {"rope_type": "default", "rope_theta": 5000.0}
FULL = {"rope_type": "default", "rope_theta": 123_456.0}


@pytest.fixture
def read(tmp_path):
    """Returns a function that reads the config.json of a tiny Llama with fields changed; `...` removes one."""
    hf_config.write(tmp_path, architecture.size("tiny-gqa"), "float32", {})
    path = tmp_path / "config.json"
    fields = json.loads(path.read_text())
    for name in ("rope_theta", "rope_scaling", "rope_parameters"):
        del fields[name]

    def read(**changes):
        changed = {name: value for name, value in (fields | changes).items() if value is not ...}
        path.write_text(json.dumps(changed))
        return hf_config.read(tmp_path)

    return read


def refuses(read, *words, **changes):
    with pytest.raises(UserError) as caught:
        read(**changes)
    line = str(caught.value)
    assert "\n" not in line
    assert "config.json" in line
    for word in words:
        assert word in line, line


# Rotary settings.


@pytest.mark.parametrize(
    ("changes", "theta"),
    [
        ({}, 10_000.0),
        ({"rope_theta": 5e5}, 5e5),
        ({"rope_scaling": None, "rope_theta": 5e5}, 5e5),
        ({"rope_parameters": None, "rope_scaling": {}}, 10_000.0),
        ({"rope_parameters": {"rope_theta": 5e5}}, 5e5),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}, "rope_theta": 500_000}, 5e5),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 1.0}, "rope_theta": 5e5}, 5e5),
        ({"partial_rotary_factor": None, "rope_theta": 5e5}, 5e5),
        ({"rope_parameters": {"full_attention": FULL}}, 123_456.0),
        ({"rope_parameters": {"full_attention": FULL, "sliding_attention": FULL}}, 123_456.0),
        (
            {
                "rope_parameters": {"full_attention": FULL, "sliding_attention": WINDOW},
                "layer_types": ["full_attention"] * 2,
            },
            123_456.0,
        ),
    ],
)
def test_the_base(read, changes, theta):
    config = read(**changes)
    assert (config.rope_theta, config.rope_scaling) == (theta, None)


@pytest.mark.parametrize(
    ("changes", "scaling"),
    [
        ({"rope_scaling": {"type": "linear", "factor": 4}}, LinearScaling(4.0)),
        ({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4}}}, LinearScaling(4.0)),
        ({"rope_scaling": LLAMA3, "rope_parameters": LLAMA3}, Llama3Scaling(8.0, 1.0, 4.0, 64)),
        (
            {
                "rope_scaling": LLAMA3 | {"original_max_position_embeddings": 32},
                "original_max_position_embeddings": 32,
            },
            Llama3Scaling(8.0, 1.0, 4.0, 32),
        ),
    ],
)
def test_the_scaling(read, changes, scaling):
    assert read(**changes).rope_scaling == scaling


@pytest.mark.parametrize("kind", ["dynamic", "yarn", "longrope", "proportional", "su", "axial", "LINEAR", None, 3])
def test_other_scalings_are_refused_by_name(read, kind):
    for name, key in (("rope_scaling", "type"), ("rope_parameters", "rope_type")):
        refuses(read, json.dumps(kind), name, **{name: {key: kind, "factor": 2.0}})
    refuses(read, json.dumps(kind), rope_parameters={"full_attention": {"rope_type": kind, "factor": 2.0}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rope_theta": None}, ["rope_theta is null"]),
        ({"rope_parameters": {"rope_theta": None}}, ["rope_theta is null"]),
        ({"rope_theta": 0}, ["rope_theta is 0", "positive"]),
        ({"rope_theta": float("nan")}, ["rope_theta is NaN"]),
        ({"rope_theta": float("inf")}, ["rope_theta is Infinity"]),
        ({"rope_theta": 10**400}, ["rope_theta is 1000", "positive"]),
        ({"rope_theta": "5e5"}, ['rope_theta is "5e5"']),
        ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}, ["10000.0", "500000.0", "remove the wrong one"]),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_theta": 1e4}},
            ["rope_scaling and rope_parameters contradict"],
        ),
        ({"rope_parameters": {"full_attention": FULL, "sliding_attention": WINDOW}}, ["full_attention", "contradict"]),
        ({"rope_parameters": {"full_attention": FULL, "rope_theta": 1e4}}, ["both rope_theta and settings by kind"]),
        (
            {"rope_parameters": {"sliding_attention": WINDOW}, "layer_types": ["full_attention"] * 2},
            ["settings for sliding_attention, and none"],
        ),
        ({"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 2.0}}, ['rope_type "default"']),
        ({"rope_parameters": {"rope_type": "default", "factor": 4.0}}, ["has factor 4.0"]),
        ({"rope_parameters": {"factor": 4.0}}, ["has factor 4.0"]),
        ({"rope_scaling": {"type": "linear", "factor": 2.0, "mscale": 0.7}}, ["has mscale 0.7"]),
        ({"rope_scaling": LLAMA3 | {"attention_factor": 1.2}}, ["has attention_factor 1.2"]),
        ({"rope_scaling": LLAMA3 | {"high_freq_factor": 1.0}}, ["not above low_freq_factor"]),
        ({"rope_scaling": LLAMA3, "original_max_position_embeddings": 32}, ["32", "64", "remove the wrong one"]),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, ["factor is 0"]),
        ({"rope_scaling": [1]}, ["rope_scaling [1] is not"]),
        ({"partial_rotary_factor": 0.5}, ["partial_rotary_factor"]),
        ({"rope_parameters": {"full_attention": FULL | {"partial_rotary_factor": 0.5}}}, ["partial_rotary_factor"]),
    ],
)
def test_rotary_settings_that_are_refused(read, changes, words):
    refuses(read, *words, **changes)


# Fields of other families.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attention_multiplier", 1.0), ("residual_multiplier", 0.22), ("embedding_multiplier", 12.0),
        ("logits_scaling", 8.0), ("logit_scale", 0.0625), ("final_logit_softcapping", 30.0),
        ("attn_logit_softcapping", 50.0), ("query_pre_attn_scalar", 256), ("sliding_window", 4096),
        ("num_local_experts", 8), ("num_experts_per_tok", 2), ("n_routed_experts", 64), ("clip_qkv", 8.0),
        ("use_qk_norm", True), ("qkv_bias", True), ("use_bias", True), ("attention_out_bias", True),
        ("no_rope_layers", [0, 1]), ("rotary_dim", 4), ("rotary_pct", 0.25), ("rope_interleaved", True),
        ("alibi", True), ("scale_emb", 12), ("scale_depth", 1.4), ("dim_model_base", 256), ("lm_head_bias", True),
        ("attention_chunk_size", 8192), ("attn_temperature_tuning", 4), ("use_bidirectional_attention", True),
        ("is_causal", False), ("use_parallel_residual", True), ("num_kv_shared_layers", 2), ("rms_norm_offset", 1.0),
        ("per_layer_config", {"0": {"head_dim": 4}}), ("pruned_heads", {"0": [1]}), ("hidden_activation", "gelu"),
        ("quantization", {"bits": 4}), ("compression_config", {"format": "int"}), ("residual_multiplier", True),
        ("layer_types", ["full_attention", "sliding_attention"]), ("layer_types", "full_attention"),
        ("hidden_act", "gelu_new"), ("hidden_act", None), ("tie_word_embeddings", "false"), ("tie_word_embeddings", 1),
        ("max_position_embeddings", None), ("rms_norm_eps", None), ("rms_norm_eps", -1e-6),
        ("num_hidden_layers", 10**9), ("head_dim", 0),
    ],
)  # fmt: skip
def test_fields_that_make_another_network_are_refused_by_name(read, name, value):
    refuses(read, name, **{name: value})


HARMLESS = {
    "architectures": ["LlamaForCausalLM"], "transformers_version": "4.40.0", "pretraining_tp": 2, "use_cache": False,
    "attention_dropout": 0.1, "initializer_range": 0.02, "torch_dtype": "float16", "sliding_window": None,
    "use_sliding_window": False, "layer_types": ["full_attention"] * 2, "head_dim": None, "num_key_value_heads": None,
    "hidden_act": "swish", "attention_bias": False, "mlp_bias": None, "is_llama_config": True,
    "rope_interleaved": False, "is_causal": True, "_attn_implementation_autoset": True,
    "transformers.js_config": {"dtype": "q4"},
    "max_sequence_length": 2048, "output_attentions": False, "logits_scaling": 1.0, "residual_multiplier": 1,
    "unsloth_version": "2025.1", "_name_or_path": "x", "activation": "swiglu", "quantization_config": None,
    "tie_word_embeddings": None, "num_local_experts": 0, "embd_pdrop": 0.0, "use_flash_attention_2": True,
}  # fmt: skip


def test_fields_that_change_nothing_are_taken(read):
    expected = dataclasses.replace(architecture.size("tiny-gqa"), kv_heads=4)
    assert read(**HARMLESS) == expected
    assert read(**HARMLESS, max_window_layers=28) == expected
    assert read(**HARMLESS | {"sliding_window": 4096}) == expected  # use_sliding_window is false


def test_heads_that_do_not_divide_the_width(read):
    refuses(read, "not a multiple of num_attention_heads 3", num_attention_heads=3, num_key_value_heads=3, head_dim=...)
    assert read(num_attention_heads=3, num_key_value_heads=3, head_dim=8).head_width == 8


anything = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        -1,
        2,
        10**400,
        0.5,
        math.nan,
        math.inf,
        "",
        "linear",
        "mistral",
        "qwen2",
        "qwen3",
        "\ud800",
        [],
        [1],
        ["full_attention"],
        {},
    ]
)
FIELDS = (
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "attention_bias", "vocab_size", "rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters",
    "tie_word_embeddings", "hidden_act", "layer_types", "sliding_window", "use_sliding_window", "max_window_layers",
    "quantization_config", "partial_rotary_factor",
)  # fmt: skip
rope = st.dictionaries(
    st.sampled_from(["rope_type", "type", "rope_theta", "factor", "full_attention", *LLAMA3]),
    anything | st.sampled_from(["default", "llama3", {"rope_type": "default"}, {"rope_theta": []}]),
)


@given(fields=st.dictionaries(st.sampled_from(FIELDS), anything | rope))
def test_any_fields_are_read_or_refused_in_one_line(tmp_path_factory, fields):
    folder = tmp_path_factory.mktemp("any")
    hf_config.write(folder, architecture.size("tiny-gqa"), "float32", {})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    read_or_refused(folder)


def read_or_refused(folder):
    try:
        config = hf_config.read(folder)
    except UserError as error:
        line = str(error)
    else:
        line = ""
        assert all(math.isfinite(number) and number > 0 for number in (config.rope_theta, config.rms_epsilon))
    assert len(line.splitlines()) <= 1


# Against transformers.

# It refuses null in the first two; the third would make all logits nearly zero; without a cache it takes uneven
# positions for several sequences in a row.
NOT_FOR_TRANSFORMERS = ("mlp_bias", "tie_word_embeddings", "initializer_range", "use_cache")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rope_theta": 5e5},
        {"rope_parameters": FULL},
        {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 5e5},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "original_max_position_embeddings": 64}},
        {"rope_scaling": LLAMA3, "rope_theta": 5e5},
        {"rope_scaling": LLAMA3, "rope_parameters": LLAMA3, "rope_theta": 5e5},
        {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 32}, "original_max_position_embeddings": 32},
        {name: value for name, value in HARMLESS.items() if name not in NOT_FOR_TRANSFORMERS},
        {"head_dim": 16, "num_key_value_heads": 1, "rms_norm_eps": 0.3},
    ],
)
def test_logits_are_those_of_transformers(tmp_path, changes):
    """The config.json as it stands, read by both."""
    torch = pytest.importorskip("torch", reason="the oracle is transformers' torch Llama: install the extra `torch`")
    transformers = pytest.importorskip("transformers")
    fields = {
        "model_type": "llama", "vocab_size": 96, "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 2048, "initializer_range": 0.15,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(fields | changes))
    torch.manual_seed(0)
    config = transformers.LlamaConfig.from_pretrained(tmp_path)
    theirs = transformers.LlamaForCausalLM._from_config(config, attn_implementation="eager").float().eval()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(fields | changes))
    ours = pretrained.load(tmp_path, dtype=jnp.dtype(jnp.float32), stacked=True)
    batch = random_batch(96, rows=2)
    positions = batch.positions * np.int32(37)
    with torch.no_grad():
        expected = theirs(
            input_ids=torch.tensor(batch.tokens).long(), position_ids=torch.tensor(positions).long()
        ).logits.numpy()
    hidden = forward(
        ours,
        jnp.asarray(batch.tokens),
        jnp.asarray(batch.segments),
        jnp.asarray(positions),
        dtype=jnp.dtype(jnp.float32),
    )
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(ours.logits(hidden), expected, atol=1e-4, rtol=0)
