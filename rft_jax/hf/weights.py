"""The weight files of a Hugging Face model folder: finding, checking and writing them."""

import itertools
import json
import math
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rft_jax.errors import UserError
from rft_jax.hf import safetensors, torch_bin
from rft_jax.hf.fields import read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH_SINGLE, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"

# Tables that old versions of transformers saved and every version computes from config.json.
IGNORED = re.compile(r"(.*\.)?rotary_emb\.inv_freq")

MappedFile = safetensors.MappedFile | torch_bin.MappedFile


class Stored(NamedTuple):
    """A tensor, and the file that holds it."""

    file: MappedFile
    array: np.ndarray


def find(folder: Path) -> dict[str, Stored]:
    """Maps all weight files of a folder, safetensors before PyTorch's own, and returns the tensors by name.

    Raises:
        UserError: no weights, a missing shard, or a damaged file.
    """
    for name, index, open_file in (
        (SINGLE, INDEX, safetensors.MappedFile),
        (TORCH_SINGLE, TORCH_INDEX, torch_bin.MappedFile),
    ):
        if (folder / name).exists():
            return _tensors(folder, [open_file(folder / name)])
        if (folder / index).exists():
            return _tensors(folder, [open_file(path) for path in _shards(folder / index)])
    raise UserError(f"{folder} has no weights: none of {SINGLE}, {INDEX}, {TORCH_SINGLE}, {TORCH_INDEX}")


def _shards(index: Path) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{index} has no weight_map from tensors to files; download it again")
    shards = []
    for name in sorted(set(names.values())):
        path = index.parent / name
        if Path(name).name != name:  # an index must not point out of its folder
            raise UserError(f"{index} names the shard '{name}', which is not a file name")
        if not path.exists():
            raise UserError(f"{index} names the shard {name}, which is missing; download it")
        shards.append(path)
    return shards


def _tensors(folder: Path, files: list[MappedFile]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for file in files:
        for name, array in file.tensors.items():
            if IGNORED.fullmatch(name):
                continue
            if name in found:
                raise UserError(f"{folder} holds {name} twice, in two of its shards")
            found[name] = Stored(file, array)
    return found


def check(folder: Path, found: Mapping[str, Stored], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Checks that the tensors are those that the config asks for.

    Raises:
        UserError: missing, extra or misshapen tensors; the message names the first and counts the others.
    """
    wrong_shape = [name for name in expected if name in found and found[name].array.shape != expected[name]]
    for what, names in (
        ("lacks", [name for name in expected if name not in found]),
        ("holds tensors unknown to a Llama of its config.json:", [name for name in found if name not in expected]),
        ("holds tensors of another shape than its config.json asks for:", wrong_shape),
    ):
        if names:
            first = names[0]
            if names is wrong_shape:
                first += f" is {list(found[first].array.shape)}, not {list(expected[first])}"
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{folder} {what} {first}{others}; is it complete, and the right config.json with it?")


def write(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: np.dtype,
    tensors: Iterable[tuple[str, np.ndarray]],
    *,
    shard_bytes: int,
) -> None:
    """Writes tensors into a folder as safetensors, one in memory at a time; an index when one file does not suffice.

    Args:
        folder: exists; best one that `files.whole_folder` gave.
        shapes: every tensor's shape, in the order of `tensors`.
        dtype: bfloat16, float16 or float32.
        tensors: names and arrays, each made when it is asked for.
        shard_bytes: the most tensor bytes in one file; a single larger tensor has a file of its own.

    Raises:
        UserError: the disk has not enough room.
        ValueError: the tensors are not as announced in `shapes`.
        OSError: writing failed.
    """
    total = sum(_bytes(shape, dtype) for shape in shapes.values())
    free = shutil.disk_usage(folder).free
    if total > free:  # minutes of work would end the same
        raise UserError(f"{folder.parent} has {free / 1e9:.1f} GB free, and the model needs {total / 1e9:.1f} GB")
    shards = _split(shapes, dtype, shard_bytes)
    remaining = iter(tensors)
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        safetensors.write(folder / name, shard, dtype, itertools.islice(remaining, len(shard)))
        weight_map |= dict.fromkeys(shard, name)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _split(shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype, limit: int) -> list[dict[str, tuple[int, ...]]]:
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    size = 0
    for name, shape in shapes.items():
        if shards[-1] and size + _bytes(shape, dtype) > limit:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += _bytes(shape, dtype)
    return shards


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.prod(shape) * dtype.itemsize
