"""Short hashes that tell one model, or one set of prompts, from another."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rft_jax.errors import UserError

_PROBES, _PROBE_BYTES = 64, 4096
_WEIGHTS = {".safetensors", ".bin"}
_SETTINGS = (
    "config.",
    "generation_config.",
    "prompt_format.",
    "token",
    "vocab",
    "merges",
    "added_tokens",
    "special_tokens",
    "chat_template",
)


def of_model(folder: str | Path) -> str:
    """Returns a hash of a Hugging Face folder: its small files whole, its weights by size and samples of their bytes.

    Training moves every weight, so some kilobytes of each file tell two models apart, and 140 GB need not be read.

    Raises:
        UserError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no model folder {folder}: give --config.model=DIR, a Hugging Face folder")
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        # What does not change what is sampled (a README, a training log) does not count.
        if not (file.suffix in _WEIGHTS or file.name.startswith(_SETTINGS)):
            continue
        size = file.stat().st_size
        digest.update(f"{file.name} {size} ".encode())
        with file.open("rb") as data:
            if size <= _PROBES * _PROBE_BYTES:
                digest.update(data.read())
                continue
            for probe in range(_PROBES):
                data.seek((size - _PROBE_BYTES) * probe // (_PROBES - 1))
                digest.update(data.read(_PROBE_BYTES))
    return digest.hexdigest()[:16]


def of_tokens(prompts: Iterable[np.ndarray]) -> str:
    """Returns a hash of prompts, each int32 [tokens], in their order."""
    digest = hashlib.sha256()
    for tokens in prompts:
        digest.update(np.int64(len(tokens)).tobytes() + tokens.tobytes())
    return digest.hexdigest()[:16]
