"""The model types of transformers that our network can be: one table, read in both directions.

Each is a Llama with options. `absent` is what transformers takes for a field that a file of that type lacks.
"""

import dataclasses
from typing import Any, Literal

from rft_jax.errors import UserError
from rft_jax.hf.fields import number, shown, switch
from rft_jax.model.architecture import Family, LlamaConfig


@dataclasses.dataclass(frozen=True)
class Form:
    """How config.json describes a family.

    Attributes:
        architecture: the class in transformers.
        absent: the values of fields that may be absent, where they differ between families.
        qkv_bias: whether query, key and value have a bias; None: `attention_bias` says so, for the output as well.
        query_key_norm: whether query and key are normed.
        window: "sliding_window" of all layers; or, "by switch", of those from `max_window_layers` on, if
            `use_sliding_window` is on; or "none".
    """

    architecture: str
    absent: dict[str, Any]
    qkv_bias: bool | None
    query_key_norm: bool
    window: Literal["none", "sliding_window", "by switch"]

    @property
    def reads(self) -> tuple[str, ...]:
        """The fields that change the network here, and may in no other family."""
        bias = ("attention_bias",) if self.qkv_bias is None else ()
        match self.window:
            case "none":
                return bias
            case "sliding_window":
                return (*bias, "sliding_window")
            case "by switch":
                return (*bias, *_SWITCHED)


_SWITCHED = ("use_sliding_window", "sliding_window", "max_window_layers")
_QWEN = {
    "max_position_embeddings": 32768,
    "num_key_value_heads": 32,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
}

FORMS: dict[Family, Form] = {
    "llama": Form("LlamaForCausalLM", {"max_position_embeddings": 2048}, None, False, "none"),
    "mistral": Form(
        "MistralForCausalLM",
        {"max_position_embeddings": 131072, "num_key_value_heads": 8, "sliding_window": 4096},
        qkv_bias=False,
        query_key_norm=False,
        window="sliding_window",
    ),
    "qwen2": Form("Qwen2ForCausalLM", _QWEN, qkv_bias=True, query_key_norm=False, window="by switch"),
    "qwen3": Form("Qwen3ForCausalLM", _QWEN | {"head_dim": 128}, None, query_key_norm=True, window="by switch"),
}


def of(fields: dict[str, Any]) -> Family:
    """Returns the family of a config.json.

    Raises:
        UserError: it is of none that can be loaded.
    """
    given = fields.get("model_type")
    for family in FORMS:
        if given == family:
            return family
    raise UserError(f"this is a model of type {shown(given)}; those that can be loaded: {', '.join(FORMS)}")


def read(family: Family, fields: dict[str, Any], layers: int) -> dict[str, Any]:
    """Returns the options of the architecture that a config.json describes.

    Args:
        family: of the model.
        fields: with those that are `absent`.
        layers: of the model.

    Raises:
        UserError: a field is wrong, or the layers are not of full attention first and then of sliding windows.
    """
    form = FORMS[family]
    bias = switch(fields, "attention_bias") if form.qkv_bias is None else form.qkv_bias
    window, full = _window(form, fields, layers)
    if (kinds := fields.get("layer_types")) is not None:
        told = _full_layers(kinds, layers)
        if told != full and (window is None or form.window != "by switch"):
            raise UserError(
                f"layer_types is {shown(kinds)}, but by the fields for sliding windows the first {full} of {layers} "
                "layers see all tokens, the others not"
            )
        full = told
    if full == layers:
        window = None
    return {
        "family": family,
        "qkv_bias": bias,
        "output_bias": form.qkv_bias is None and bias,
        "query_key_norm": form.query_key_norm,
        "window": window,
        "full_layers": 0 if window is None else full,
    }


def _window(form: Form, fields: dict[str, Any], layers: int) -> tuple[int | None, int]:
    """Returns the window of the layers that have one, and how many have none; without regard to `layer_types`."""
    on = form.window == "sliding_window" or (form.window == "by switch" and switch(fields, "use_sliding_window"))
    if not on or fields.get("sliding_window") is None:
        return None, layers
    window = number(fields, "sliding_window", int)
    if form.window == "sliding_window":
        return window, 0
    full = fields.get("max_window_layers")
    return window, 0 if type(full) is int and full == 0 else min(layers, number(fields, "max_window_layers", int))


def _full_layers(kinds: Any, layers: int) -> int:
    """Returns how many layers see all tokens; those after them have a window."""
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise UserError(f"layer_types is {shown(kinds)}; a list of {layers}, one per layer, is needed there")
    for kind in kinds:
        if kind not in (_FULL, _SLIDING):
            raise UserError(f"layer_types has {shown(kind)}; only '{_FULL}' and '{_SLIDING}' can be loaded")
    full = kinds.count(_FULL)
    if kinds != _kinds(full, layers):
        raise UserError(f"layer_types is {shown(kinds)}; layers of '{_FULL}' that come after others cannot be loaded")
    return full


_FULL, _SLIDING = "full_attention", "sliding_attention"


def _kinds(full: int, layers: int) -> list[str]:
    return [_FULL] * full + [_SLIDING] * (layers - full)


def write(config: LlamaConfig) -> dict[str, Any]:
    """Returns the fields of config.json that are the family's own.

    Raises:
        UserError: the family has no such option.
    """
    form = FORMS[config.family]
    full = next(len(layers) if window is None else 0 for layers, window in config.spans())
    window = config.window if full < config.layers else None
    fields: dict[str, Any] = {"architectures": [form.architecture], "model_type": config.family}
    if form.qkv_bias is None:
        fields |= {"attention_bias": config.qkv_bias}
    match form.window:
        case "sliding_window":
            fields |= {"sliding_window": window}
        case "by switch":
            fields |= dict(zip(_SWITCHED, (window is not None, window, full), strict=True))
            fields |= {"layer_types": _kinds(full, config.layers)}
    meant = dataclasses.replace(config, window=window, full_layers=0 if window is None else full)
    for name, value in read(config.family, form.absent | fields, config.layers).items():
        if getattr(meant, name) != value:
            raise UserError(f"a model of type {config.family} cannot have {name} {getattr(meant, name)}")
    return fields
