"""Adapters as the folder that PEFT reads and writes: adapter_config.json and adapter_model.safetensors."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax import files
from rft_jax.hf import foreign, names, pretrained, safetensors, sidecars
from rft_jax.hf.fields import write_json
from rft_jax.model.adapters import Adapters
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.lora import Lora

WEIGHTS = "adapter_model.safetensors"
_FP32 = jnp.dtype(jnp.float32)


def save(
    adapters: Adapters,
    lora: Lora,
    config: LlamaConfig,
    folder: Path,
    *,
    base: str,
    revision: str | None,
    tokenizer_from: Path,
    prompt: sidecars.PromptSidecar,
) -> None:
    """Saves adapters in fp32, whole or not at all; all processes call this, as they do `pretrained.save`.

    Args:
        adapters: arrays on any devices.
        lora: what they are.
        config: of the model that they are of.
        folder: to make; an earlier one of that name is replaced.
        base: the model that they are of: ORG/NAME on the hub, or a folder.
        revision: its commit on the hub, or None.
        tokenizer_from: the folder whose tokenizer goes along.
        prompt: how the model is asked with them.

    Raises:
        UserError: no room or no permission to write.
    """

    def write(tensors: Iterator[tuple[str, np.ndarray]]) -> None:
        with files.whole_folder(folder) as partial:
            for file in sidecars.tokenizer_files(tokenizer_from):
                shutil.copyfile(file, partial / file.name)
            prompt.write(partial)
            write_json(partial / foreign.ADAPTER, _settings(lora, base, revision))
            safetensors.write(partial / WEIGHTS, _shapes(adapters, config), _FP32, tensors)

    pretrained.written_together(_tensors(adapters, config), write)


def _settings(lora: Lora, base: str, revision: str | None) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": revision,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "target_modules": list(lora.targets),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }


def _places(adapters: Adapters, config: LlamaConfig) -> Iterator[tuple[str, jax.Array, int, tuple[int, int]]]:
    """Yields the name of each tensor, the array that holds it, its layer, and its shape as a matrix."""
    for row in names.TABLE:
        if (pair := adapters.of(row.role)) is None:
            continue
        for layer in range(config.layers):
            module = "base_model.model." + row.name.format(layer).removesuffix(".weight")
            a, b = pair
            yield f"{module}.lora_A.weight", a, layer, (a.shape[1], math.prod(a.shape[2:]))
            yield f"{module}.lora_B.weight", b, layer, (math.prod(b.shape[1:-1]), b.shape[-1])


def _shapes(adapters: Adapters, config: LlamaConfig) -> dict[str, tuple[int, int]]:
    return {name: shape for name, _, _, shape in _places(adapters, config)}


def _tensors(adapters: Adapters, config: LlamaConfig) -> Iterator[tuple[str, np.ndarray]]:
    for name, array, layer, shape in _places(adapters, config):
        yield name, jax.device_get(pretrained.gathered(array, layer, dtype=_FP32)).view(_FP32).reshape(shape)
