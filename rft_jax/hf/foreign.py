"""What people give as a model and is none that can be read here, by its files: each is told by what it is."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rft_jax.errors import UserError
from rft_jax.hf.fields import shown

ADAPTER = "adapter_config.json"
_GGUF = ".gguf"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")


def refuse(where: str | Path, names: Collection[str]) -> NoReturn:
    """Raises UserError for a folder without config.json.

    Args:
        where: the folder, or its name.
        names: of its files.
    """
    if ADAPTER in names:
        refuse_adapter(where)
    if ggufs := sorted(name for name in names if name.endswith(_GGUF)):
        raise UserError(f"{where} has llama.cpp's {ggufs[0]} and no config.json: {_INSTEAD}")
    if "params.json" in names:
        raise UserError(
            f"{where} is a model in its maker's own format (params.json), not in Hugging Face's: give its -hf folder"
        )
    raise UserError(f"{where} has no config.json: give a folder in Hugging Face's format")


def refuse_file(path: Path) -> NoReturn:
    """Raises UserError for a path that is no folder."""
    if path.suffix == _GGUF and path.exists():
        raise UserError(f"{path} is a GGUF file, llama.cpp's format: {_INSTEAD}")
    if path.suffix in _WEIGHTS and path.exists():
        raise UserError(f"{path} holds weights alone: give the folder that it lies in, with its config.json")
    raise UserError(f"no model folder {path}")


_INSTEAD = "give the Hugging Face folder that it was made from, in bf16, fp16 or fp32"


def refuse_adapter(where: str | Path) -> NoReturn:
    """Raises UserError for the folder of an adapter, and names its base model if it is there to read."""
    try:
        base = json.loads((Path(where) / ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
        base = f"{base}"[:_LONGEST_TOLD]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        base = "its base model"
    raise UserError(
        f"{where} holds an adapter ({ADAPTER}), not a model: merge it into {base} (peft's merge_and_unload) and save "
        "the whole model"
    )


_LONGEST_TOLD = 100


def refuse_own_code(fields: Mapping[str, Any]) -> None:
    """Raises UserError for a config.json of a model whose network is code in its folder (trust_remote_code)."""
    own = fields.get("auto_map")
    for kind, code in own.items() if isinstance(own, dict) else ():
        if kind.startswith("AutoModel") and code:
            raise UserError(
                f"auto_map says that the model is code of its own ({shown(code)}, for trust_remote_code), which is "
                "never run here: give a model whose class transformers has itself"
            )
