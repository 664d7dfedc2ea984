"""Fields of a config.json with which a Llama or one of its relatives would be another network.

transformers ignores what its LlamaConfig does not know, but somebody put it there: a model with a softcap, experts or a
multiplier that is computed without them is silently wrong. So a field that is neither known nor harmless by its name is
refused unless its value leaves the network as it is.
"""

from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf import quantised
from rft_jax.hf.fields import shown

_SILU = ("silu", "swish")  # two names of one function

# Values that leave a Llama as it is, besides null, false, zero and nothing.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "hidden_activation": _SILU,
    "activation_function": _SILU,
    "activation": (*_SILU, "swiglu"),
    "embedding_multiplier": (1,),
    "embedding_scale": (1,),
    "scale_emb": (1,),
    "residual_multiplier": (1,),
    "logits_scaling": (1,),
    "logit_scale": (1,),
}

# Switches that are on in a Llama.
_ON = ("is_causal", "no_bias")

# Parts of the names of fields that change the network in the families of transformers' models/*/configuration_*.py;
_TELLING = (
    "activation", "adapter", "alibi", "attention", "attn", "bias", "bidirectional", "causal", "clip", "compress",
    "dim_model_base", "expert", "gate", "layer", "logit", "lora", "mamba", "moe", "multiplier", "mup", "norm", "offset",
    "position_embedding", "pruned", "qk_", "residual", "rope", "rotary", "router", "scal", "sliding", "soft_cap",
    "softcap", "sparse", "swiglu", "window",
)  # fmt: skip
# names with such a part that change no logits,
_HARMLESS = ("drop", "flash", "implementation", "output_", "aux_loss")
# and those that are read elsewhere.
_READ = (
    "num_hidden_layers", "num_attention_heads", "rms_norm_eps", "max_position_embeddings", "layer_types",
    "original_max_position_embeddings", "rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor",
)  # fmt: skip


def refuse(fields: dict[str, Any], options: tuple[str, ...]) -> None:
    """Checks that a config.json describes a Llama with no more than some options.

    Args:
        fields: of the file.
        options: names of fields that are read elsewhere.

    Raises:
        UserError: it describes another network; the message names the field.
    """
    if (activation := fields.get("hidden_act", "silu")) not in _SILU:
        raise UserError(f"hidden_act is {shown(activation)}; only 'silu' can be loaded")
    without_window = fields.get("use_sliding_window", True) is False
    for name, value in fields.items():
        if name in options or (name in ("sliding_window", "max_window_layers") and without_window):
            continue
        if "quant" in name and value:
            raise UserError(quantised.of_config(name, value))
        if _tells(name) and not _is_neutral(name, value):
            raise UserError(
                f"{name} is {shown(value)}, and the {fields['model_type']} models that can be loaded have no such "
                "thing; if the weights were made without it, remove it from config.json"
            )


def _tells(name: str) -> bool:
    return name not in _READ and _has_part(name, _TELLING) and not _has_part(name, _HARMLESS)


def _has_part(name: str, parts: tuple[str, ...]) -> bool:
    return any(part in name for part in parts)


def _is_neutral(name: str, value: object) -> bool:
    if value is None or name in _ON:
        return value is not False
    if not value:
        return True
    # True is no 1: a switch that is on differs from a factor of one.
    return any((value, type(value) is bool) == (known, type(known) is bool) for known in _NEUTRAL.get(name, ()))
