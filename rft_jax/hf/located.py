"""Where a folder is that may be in a bucket, gs:// or s3://, or on the hub, hf:ORG/NAME: itself here, or a copy."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from rft_jax.hf import foreign, weights
from rft_jax.hf.config import CONFIG
from rft_jax.remote import cache, hub
from rft_jax.remote.address import is_remote

Config = TypeVar("Config", bound=Any)  # a dataclass

# What a checkpoint may be read from; other frameworks' weights, pictures and texts for people are left where they are.
_SETTINGS = (".json", ".jinja", ".model", ".txt")
_WEIGHTS = (".safetensors", ".bin")


def pinned(folder: str) -> str:
    """Returns a name that means the same ever after: of a model of the hub that with its commit, else the name itself.

    Raises:
        UserError: the hub shows no such model, or cannot be asked.
    """
    return hub.pinned(folder) if hub.is_model(folder) else folder


def pinned_in(config: Config) -> Config:
    """Returns a command's settings with the names of its model and its tokenizer as `pinned` gives them."""
    given = {field: getattr(config, field, None) for field in ("model", "tokenizer")}
    return dataclasses.replace(config, **{field: hub.pinned(name) for field, name in given.items() if _on_hub(name)})


def is_elsewhere(folder: str | os.PathLike[str]) -> bool:
    """Tells whether a name is none of a folder of this machine."""
    return is_remote(folder) or hub.is_model(folder)


def model(folder: str | os.PathLike[str]) -> Path:
    """Returns a Hugging Face folder.

    Raises:
        UserError: it is in a bucket or on the hub and cannot be read there, or it is a file.
    """
    return _of_hub(folder, weighed=True) if _on_hub(folder) else _a_folder(_located(folder, _is_of_a_model))


def settings(folder: str | os.PathLike[str]) -> Path:
    """Returns a Hugging Face folder, of which no weights are needed; raises as `model` does."""
    return _of_hub(folder, weighed=False) if _on_hub(folder) else _a_folder(_located(folder, _is_settings))


def whole(folder: str | os.PathLike[str]) -> Path:
    """Returns a folder with all that is in it; raises as `model` does."""
    return _located(folder, _is_any)


def _a_folder(path: Path) -> Path:
    if path.is_file():
        foreign.refuse_file(path)
    return path


def _on_hub(folder: object) -> TypeGuard[str]:
    return isinstance(folder, str) and hub.is_model(folder)


def _of_hub(name: str, *, weighed: bool) -> Path:
    there = hub.model(name)
    if CONFIG not in there.sizes:
        foreign.refuse(there.name, there.sizes)
    needed = [place for place in there.sizes if _is_settings(place)]
    folder = there.folder(needed)
    if not weighed:
        return folder
    return there.folder([*needed, *weights.needed(there.sizes, folder)])


def _located(folder: str | os.PathLike[str], wanted: Callable[[str], bool]) -> Path:
    return cache.folder(folder, wanted) if isinstance(folder, str) and is_remote(folder) else Path(folder)


def _is_settings(place: str) -> bool:
    return "/" not in place and place.endswith(_SETTINGS)


def _is_of_a_model(place: str) -> bool:
    return "/" not in place and place.endswith(_SETTINGS + _WEIGHTS)


def _is_any(place: str) -> bool:
    return True
