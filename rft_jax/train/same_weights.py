"""Whether the tensors of a checkpoint are those of a model folder, found out while they are written elsewhere."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import weights
from rft_jax.hf.host_memory import as_bits
from rft_jax.model.architecture import LlamaConfig


class SameWeights:
    """A comparison of tensors that pass by with those of a folder.

    Attributes:
        hold: whether all that have passed are equal, bit by bit in the narrower of the two dtypes.
    """

    def __init__(self, folder: Path, config: LlamaConfig) -> None:
        """Maps the folder; where there is none, or of another architecture, nothing is equal."""
        self._stored: dict[str, weights.Stored] = {}
        try:
            self.hold = hf_config.read(folder) == config
            self._stored = weights.find(folder) if self.hold else {}
        except UserError:
            self.hold = False

    def watch(self, tensors: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the tensors as they are."""
        for name, tensor in tensors:
            self.hold = self.hold and self._equal(name, tensor)
            yield name, tensor

    def _equal(self, name: str, tensor: np.ndarray) -> bool:
        stored = self._stored.get(name)
        if stored is None or stored.array.shape != tensor.shape:
            return False
        dtypes = sorted((stored.array.dtype, tensor.dtype), key=lambda dtype: dtype.itemsize)
        if dtypes[0] != dtypes[1] and dtypes[0].itemsize == dtypes[1].itemsize:
            return False  # bfloat16 and float16: neither holds the other
        one, other = (as_bits(each.astype(dtypes[0], copy=False)) for each in (stored.array, tensor))
        equal = np.array_equal(one, other)
        stored.file.release(stored.array)
        return equal
