"""Where a folder is that may be in a bucket, gs:// or s3://: itself on this machine, or a copy."""

import os
from collections.abc import Callable
from pathlib import Path

from rft_jax.remote import cache
from rft_jax.remote.address import is_remote

# What a checkpoint may be read from; other frameworks' weights, pictures and texts for people are left where they are.
_SETTINGS = (".json", ".jinja", ".model", ".txt")
_WEIGHTS = (".safetensors", ".bin")


def model(folder: str | os.PathLike[str]) -> Path:
    """Returns a Hugging Face folder.

    Raises:
        UserError: it is in a bucket and cannot be read there.
    """
    return _located(folder, _is_of_a_model)


def settings(folder: str | os.PathLike[str]) -> Path:
    """Returns a Hugging Face folder, of which no weights are needed; raises as `model` does."""
    return _located(folder, _is_settings)


def whole(folder: str | os.PathLike[str]) -> Path:
    """Returns a folder with all that is in it; raises as `model` does."""
    return _located(folder, _is_any)


def _located(folder: str | os.PathLike[str], wanted: Callable[[str], bool]) -> Path:
    return cache.folder(folder, wanted) if isinstance(folder, str) and is_remote(folder) else Path(folder)


def _is_settings(place: str) -> bool:
    return "/" not in place and place.endswith(_SETTINGS)


def _is_of_a_model(place: str) -> bool:
    return "/" not in place and place.endswith(_SETTINGS + _WEIGHTS)


def _is_any(place: str) -> bool:
    return True
