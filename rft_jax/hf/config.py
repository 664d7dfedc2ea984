"""A config.json of a Llama or one of its relatives, read and written.

Where an old file lacks a field, the value is the one that transformers takes (its LlamaConfig and the like, the same in
versions 4 and 5). A field that is there and null counts as absent only where transformers says so.
"""

from pathlib import Path
from typing import Any

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.hf import families, foreign, rotary, unsupported
from rft_jax.hf.fields import number, read_json, switch, write_json
from rft_jax.model.architecture import LlamaConfig

CONFIG = "config.json"


def is_last(name: str) -> bool:
    """Tells whether a file of a model folder says that the others are there, so that it is to come last."""
    return name == CONFIG


def read(folder: Path) -> LlamaConfig:
    """Returns the architecture that a model folder's config.json describes.

    Raises:
        UserError: no folder, no config.json, of a family that is not ours, or with a part that ours does not have.
    """
    path = folder / CONFIG
    try:
        if not folder.is_dir():
            foreign.refuse_file(folder)
        if not path.exists():
            foreign.refuse(folder, files.names(folder))
    except OSError as error:  # a name that is too long, or a folder that may not be looked into
        raise UserError(f"cannot read {folder}: {error.strerror or error}") from error
    fields = read_json(path)
    try:
        return _parse(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _parse(fields: dict[str, Any]) -> LlamaConfig:
    foreign.refuse_own_code(fields)  # whatever it says of its type
    family = families.of(fields)
    form = families.FORMS[family]
    unsupported.refuse(fields, form.reads)
    layers = number(fields, "num_hidden_layers", int)
    if layers > _MOST_LAYERS:
        raise UserError(f"num_hidden_layers is {layers}; no Llama has more than {_MOST_LAYERS}")
    width, heads = number(fields, "hidden_size", int), number(fields, "num_attention_heads", int)
    fields = form.absent | fields
    optional = {name: value for name, value in fields.items() if value is not None}
    theta, scaling = rotary.read(fields)
    return LlamaConfig(
        **families.read(family, fields, layers),
        vocabulary=number(fields, "vocab_size", int),
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=number(optional, "num_key_value_heads", int, heads),
        head_width=number(optional, "head_dim", int) if "head_dim" in optional else _head_width(width, heads),
        mlp_width=number(fields, "intermediate_size", int),
        max_positions=number(fields, "max_position_embeddings", int),
        rms_epsilon=number(fields, "rms_norm_eps", float, 1e-6),
        rope_theta=theta,
        rope_scaling=scaling,
        tied_embeddings=switch(fields, "tie_word_embeddings"),
    )


_MOST_LAYERS = (
    1024  # a Llama of 405 billion parameters has 126; every layer takes memory before its weights are looked for
)


def _head_width(width: int, heads: int) -> int:
    if width % heads:
        raise UserError(
            f"hidden_size {width} is not a multiple of num_attention_heads {heads}, and head_dim is not given"
        )
    return width // heads


def write(folder: Path, config: LlamaConfig, dtype: str, token_ids: dict[str, Any]) -> None:
    """Writes config.json.

    Args:
        folder: where to.
        config: the architecture.
        dtype: of the saved weights, as "bfloat16".
        token_ids: bos_token_id and the like, if they are known.

    Raises:
        UserError: the architecture's family does not have all its options.
    """
    fields = {
        **families.write(config),
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
        **rotary.write(config.rope_theta, config.rope_scaling),
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "torch_dtype": dtype,
        "dtype": dtype,
        **token_ids,
    }
    write_json(folder / CONFIG, fields)
