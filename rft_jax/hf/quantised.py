"""Quantised weights, by the name of what made them: they are no numbers that can be trained or sampled from here."""

from typing import Any

from rft_jax.hf.fields import shown

_INSTEAD = "give the bf16, fp16 or fp32 checkpoint that it was made from"
_NAMES = {
    "awq": "AWQ",
    "bitsandbytes": "bitsandbytes",
    "compressed-tensors": "compressed-tensors",
    "fp8": "FP8",
    "gptq": "GPTQ",
    "hqq": "HQQ",
    "mxfp4": "MXFP4",
}
# Parts of tensors' names, where config.json keeps silent: GPTQ's and AWQ's, bitsandbytes', compressed-tensors'.
_TENSORS = {
    ".qweight": "GPTQ or AWQ",
    ".qzeros": "GPTQ or AWQ",
    ".absmax": "bitsandbytes (4 bit)",
    ".quant_state": "bitsandbytes (4 bit)",
    ".SCB": "bitsandbytes (8 bit)",
    ".weight_packed": "compressed-tensors",
    ".weight_scale": "FP8 or compressed-tensors",
}


def of_config(name: str, value: Any) -> str:
    """Returns what a field of a config.json such as quantization_config says, and what to do, in one line."""
    return f"{name} says that the weights are quantized{_by(value)}; {_INSTEAD}"


def of_tensor(name: str, code: str) -> str:
    """Returns what a tensor of a dtype that cannot be loaded is, and what to do.

    Args:
        name: of the tensor.
        code: its dtype, in safetensors' letters.
    """
    by = next((what for part, what in _TENSORS.items() if part in f".{name}"), None)
    if by is None and code.startswith("F8"):
        by = "FP8"
    loadable = "only BF16, F16, F32 can be loaded"
    return loadable if by is None else f"{loadable}, and the weights are quantized by {by}; {_INSTEAD}"


def _by(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    method = value.get("quant_method")
    if value.get("load_in_4bit") or value.get("_load_in_4bit"):
        return " by bitsandbytes (4 bit)"
    if value.get("load_in_8bit") or value.get("_load_in_8bit"):
        return " by bitsandbytes (8 bit)"
    if not isinstance(method, str):
        return ""
    details = []
    if method == "compressed-tensors" and isinstance(value.get("format"), str):
        details.append(value["format"])
        details += _widths(value.get("config_groups"))
    if isinstance(bits := value.get("bits", value.get("w_bit")), int):
        details.append(f"{bits} bit")
    named = _NAMES.get(method, shown(method))
    return f" by {named} ({', '.join(details)})" if details else f" by {named}"


def _widths(groups: Any) -> list[str]:
    """Returns the number formats of compressed-tensors' groups, as FP8."""
    found = []
    for group in groups.values() if isinstance(groups, dict) else ():
        of_weights = group.get("weights") if isinstance(group, dict) else None
        if isinstance(of_weights, dict) and isinstance(of_weights.get("num_bits"), int):
            kind = "FP" if of_weights.get("type") == "float" else "INT"
            found.append(f"{kind}{of_weights['num_bits']}")
    return sorted(set(found))
