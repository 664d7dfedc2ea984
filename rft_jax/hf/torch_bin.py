"""Reading PyTorch's own checkpoint files (pytorch_model*.bin), when torch is installed.

Such a file is a pickle, which can run any code; torch's weights-only loader accepts tensors and nothing else.
"""

import importlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from rft_jax.errors import UserError


class MappedFile:
    """The tensors of one file, mapped and not yet read; the same interface as safetensors.MappedFile.

    Attributes:
        tensors: name to array; touching an array reads it from the file.
    """

    def __init__(self, path: Path) -> None:
        """Maps a file.

        Raises:
            UserError: torch is not installed, or the file holds anything but tensors, or is damaged.
        """
        try:
            torch: Any = importlib.import_module("torch")
        except ImportError as error:
            raise UserError(
                f"reading {path} needs torch: install it, or convert the checkpoint to safetensors"
            ) from error
        try:
            contents = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # torch raises many kinds, and their texts run over many lines
            raise UserError(
                f"{path} is damaged, or not a file of tensors that torch's weights-only loader can map"
            ) from error
        if not isinstance(contents, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in contents.values()):
            raise UserError(f"{path} does not hold a dictionary of tensors")
        self.tensors = {name: _as_numpy(torch, path, name, tensor) for name, tensor in contents.items()}

    def read_ahead(self, part: np.ndarray) -> None:
        """Does nothing: the pages are read when they are used."""

    def release(self, part: np.ndarray) -> None:
        """Does nothing: the mapping is torch's, and its pages are given back when the system wants them."""


def _as_numpy(torch: Any, path: Path, name: str, tensor: Any) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:  # numpy has none, so it travels as integers
        return tensor.detach().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if tensor.dtype in (torch.float16, torch.float32):
        return tensor.detach().numpy()
    raise UserError(f"{path}: {name} is stored as {tensor.dtype}; only bfloat16, float16, float32 can be loaded")
