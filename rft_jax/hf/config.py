"""A Llama's config.json, read and written.

transformers 4 keeps the rotary settings as `rope_theta` and `rope_scaling`, transformers 5 as `rope_parameters`; both
are read, and both are written, so that either version loads what we save. Where an old file lacks a field, the value is
the one that transformers takes (its LlamaConfig, the same in versions 4 and 5).
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from rft_jax.errors import UserError
from rft_jax.model.architecture import LinearScaling, Llama3Scaling, LlamaConfig

CONFIG = "config.json"


def read(folder: Path) -> LlamaConfig:
    """Returns the architecture that a model folder's config.json describes.

    Raises:
        UserError: no folder, no config.json, not a Llama, or a Llama with a part that this model does not have.
    """
    if not folder.is_dir():
        raise UserError(f"no model folder {folder}")
    path = folder / CONFIG
    if not path.exists():
        raise UserError(f"{folder} has no {CONFIG}: give a folder in Hugging Face's format")
    fields = read_json(path)
    try:
        return _parse(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _parse(fields: dict[str, Any]) -> LlamaConfig:
    _refuse_what_is_not_ours(fields)
    width, heads = _number(fields, "hidden_size", int), _number(fields, "num_attention_heads", int)
    rotary = _rotary(fields)
    return LlamaConfig(
        vocabulary=_number(fields, "vocab_size", int),
        layers=_number(fields, "num_hidden_layers", int),
        width=width,
        heads=heads,
        kv_heads=_number(fields, "num_key_value_heads", int, heads),
        head_width=_number(fields, "head_dim", int, width // max(heads, 1)),
        mlp_width=_number(fields, "intermediate_size", int),
        max_positions=_number(fields, "max_position_embeddings", int, 2048),
        rms_epsilon=_number(fields, "rms_norm_eps", float, 1e-6),
        rope_theta=_number(rotary, "rope_theta", float, 10_000.0),
        rope_scaling=_scaling(rotary),
        tied_embeddings=bool(fields.get("tie_word_embeddings", False)),
    )


def write(folder: Path, config: LlamaConfig, dtype: str, token_ids: dict[str, Any]) -> None:
    """Writes config.json.

    Args:
        folder: where to.
        config: the architecture.
        dtype: of the saved weights, as "bfloat16".
        token_ids: bos_token_id and the like, if they are known.
    """
    scaling = _scaling_fields(config.rope_scaling)
    rotary = {**(scaling or {"rope_type": "default"}), "rope_theta": config.rope_theta}
    fields = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocabulary,
        "num_hidden_layers": config.layers,
        "hidden_size": config.width,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.mlp_width,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_epsilon,
        "tie_word_embeddings": config.tied_embeddings,
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling,
        "rope_parameters": rotary,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "torch_dtype": dtype,
        "dtype": dtype,
        **token_ids,
    }
    write_json(folder / CONFIG, fields)


def read_json(path: Path) -> dict[str, Any]:
    """Returns a JSON file's object.

    Raises:
        UserError: the file cannot be read, or does not hold one JSON object.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path} does not hold a JSON object")
    return fields


def write_json(path: Path, fields: dict[str, Any]) -> None:
    """Writes a JSON object for people and programs to read."""
    path.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def _refuse_what_is_not_ours(fields: dict[str, Any]) -> None:
    kind = fields.get("model_type")
    if kind != "llama":
        raise UserError(f"this is a model of type '{kind}'; only 'llama' can be loaded")
    for name in ("attention_bias", "mlp_bias"):
        if fields.get(name):
            raise UserError(f"{name} is set; Llamas with biases cannot be loaded")
    if fields.get("hidden_act", "silu") != "silu":
        raise UserError(f"hidden_act is '{fields['hidden_act']}'; only 'silu' can be loaded")
    if fields.get("quantization_config"):
        raise UserError("the weights are quantized; give the original bf16, fp16 or fp32 checkpoint")


def _rotary(fields: dict[str, Any]) -> dict[str, Any]:
    # In transformers' order: `rope_scaling` when it is there, and `rope_theta` inside wins over the one outside.
    settings = fields.get("rope_scaling") or fields.get("rope_parameters") or {}
    if not isinstance(settings, dict):
        raise UserError(f"the rope settings {json.dumps(settings)} are not a JSON object")
    return {"rope_theta": fields.get("rope_theta"), **settings}


def _scaling(rotary: dict[str, Any]) -> LinearScaling | Llama3Scaling | None:
    if rotary.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError("partial_rotary_factor is not 1; a Llama that turns part of each head cannot be loaded")
    match rotary.get("rope_type", rotary.get("type", "default")):
        case "default":
            return None
        case "linear":
            return LinearScaling(_number(rotary, "factor", float))
        case "llama3":
            return Llama3Scaling(
                factor=_number(rotary, "factor", float),
                low_frequency_factor=_number(rotary, "low_freq_factor", float),
                high_frequency_factor=_number(rotary, "high_freq_factor", float),
                original_positions=_number(rotary, "original_max_position_embeddings", int),
            )
        case other:
            raise UserError(f"unknown rope scaling '{other}'; known: default, linear, llama3")


def _scaling_fields(scaling: LinearScaling | Llama3Scaling | None) -> dict[str, Any] | None:
    match scaling:
        case None:
            return None
        case LinearScaling(factor):
            return {"rope_type": "linear", "type": "linear", "factor": factor}  # `type`: transformers before 4.43
        case Llama3Scaling():
            return {
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_frequency_factor,
                "high_freq_factor": scaling.high_frequency_factor,
                "original_max_position_embeddings": scaling.original_positions,
            }


N = TypeVar("N", int, float)


def _number(fields: dict[str, Any], name: str, kind: type[N], missing: N | None = None) -> N:
    value = fields.get(name)
    value = missing if value is None else value
    accepted = (int,) if kind is int else (int, float)
    if type(value) not in accepted:
        raise UserError(f"{name} is {json.dumps(value)}; {'a whole' if kind is int else 'a'} number is needed there")
    return kind(value)  # type: ignore[arg-type]
