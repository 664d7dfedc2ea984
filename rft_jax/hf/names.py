"""The one table between our parameters and Hugging Face's tensors, read in both directions.

Our modules keep Hugging Face's orientation, so a tensor is only ever reshaped: its rows and its columns are each one or
two of our axes.
"""

import math
from typing import Any, NamedTuple

from rft_jax.model import partition
from rft_jax.model.architecture import LlamaConfig


class Row(NamedTuple):
    """One kind of tensor.

    Attributes:
        role: the attribute that holds it in our modules, and its role in partition.TABLE.
        name: in the file; {} stands for the layer.
        rows, columns: its two axes in the file, in the letters of our own; a vector has no columns.
    """

    role: str
    name: str
    rows: str
    columns: str


TABLE = (
    Row("embedding", "model.embed_tokens.weight", "V", "D"),
    Row("attention_norm", "model.layers.{}.input_layernorm.weight", "D", ""),
    Row("query", "model.layers.{}.self_attn.q_proj.weight", "NH", "D"),
    Row("key", "model.layers.{}.self_attn.k_proj.weight", "KH", "D"),
    Row("value", "model.layers.{}.self_attn.v_proj.weight", "KH", "D"),
    Row("output", "model.layers.{}.self_attn.o_proj.weight", "D", "NH"),
    Row("query_bias", "model.layers.{}.self_attn.q_proj.bias", "NH", ""),
    Row("key_bias", "model.layers.{}.self_attn.k_proj.bias", "KH", ""),
    Row("value_bias", "model.layers.{}.self_attn.v_proj.bias", "KH", ""),
    Row("output_bias", "model.layers.{}.self_attn.o_proj.bias", "D", ""),
    Row("query_norm", "model.layers.{}.self_attn.q_norm.weight", "H", ""),
    Row("key_norm", "model.layers.{}.self_attn.k_norm.weight", "H", ""),
    Row("mlp_norm", "model.layers.{}.post_attention_layernorm.weight", "D", ""),
    Row("gate", "model.layers.{}.mlp.gate_proj.weight", "F", "D"),
    Row("up", "model.layers.{}.mlp.up_proj.weight", "F", "D"),
    Row("down", "model.layers.{}.mlp.down_proj.weight", "D", "F"),
    Row("final_norm", "model.norm.weight", "D", ""),
    Row("head", "lm_head.weight", "V", "D"),
)
_NAME_OF = {row.role: row.name for row in TABLE}


def _absent(config: LlamaConfig) -> set[str]:
    """Returns the roles that an architecture does without."""
    options = {
        ("query_bias", "key_bias", "value_bias"): config.qkv_bias,
        ("output_bias",): config.output_bias,
        ("query_norm", "key_norm"): config.query_key_norm,
        ("head",): not config.tied_embeddings,
    }
    return {role for roles, there in options.items() for role in roles if not there}


def shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor in a checkpoint of this architecture, by name, in the order we write them."""
    sizes = {
        "V": config.vocabulary, "D": config.width, "N": config.heads, "K": config.kv_heads, "H": config.head_width,
        "F": config.mlp_width,
    }  # fmt: skip
    absent = _absent(config)
    rows = [row for row in TABLE if row.role not in absent]
    of_a_layer = [row for row in rows if "{}" in row.name]
    first, *last = (row for row in rows if "{}" not in row.name)
    named = [
        (first.name, first),
        *((row.name.format(layer), row) for layer in range(config.layers) for row in of_a_layer),
        *((row.name, row) for row in last),
    ]
    return {
        name: tuple(math.prod(sizes[axis] for axis in axes) for axes in (row.rows, row.columns) if axes)
        for name, row in named
    }


def names(path: tuple[Any, ...], config: LlamaConfig) -> tuple[list[str], bool]:
    """Returns which tensors make up the parameter at a path of the model's tree, and whether they are stacked there."""
    name = _NAME_OF[partition.role_of(path)]
    layer = next((key.idx for key in path if hasattr(key, "idx")), None)
    if "{}" not in name:
        return [name], False
    if layer is not None:
        return [name.format(layer)], False
    return [name.format(layer) for layer in range(config.layers)], True
