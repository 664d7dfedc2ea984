"""The weight files of a Hugging Face model folder: finding, checking and writing them."""

import itertools
import json
import math
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rft_jax.errors import UserError
from rft_jax.hf import foreign, safetensors, torch_bin
from rft_jax.hf.fields import read_json, shown
from rft_jax.hf.host_memory import as_bits

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH_SINGLE, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"

# Tables that old versions of transformers saved and every version computes from config.json.
IGNORED = re.compile(r"(.*\.)?rotary_emb\.inv_freq")

MappedFile = safetensors.MappedFile | torch_bin.MappedFile


class Stored(NamedTuple):
    """A tensor, and the file that holds it.

    Attributes:
        file: mapped.
        array: of the file's mapping.
        shard: the file's name in its folder.
    """

    file: MappedFile
    array: np.ndarray
    shard: str


def find(folder: Path) -> dict[str, Stored]:
    """Maps all weight files of a folder, safetensors before PyTorch's own, and returns the tensors by name.

    Raises:
        UserError: no weights, a missing shard, or a damaged file.
    """
    if (folder / foreign.ADAPTER).exists():  # transformers would add it to the weights beside it
        foreign.refuse_adapter(folder)
    for name, index, open_file in (
        (SINGLE, INDEX, safetensors.MappedFile),
        (TORCH_SINGLE, TORCH_INDEX, torch_bin.MappedFile),
    ):
        if (folder / name).exists():
            return _tensors(folder, {name: open_file(folder / name)})
        if (folder / index).exists():
            shard_of = _shard_of(folder / index)
            for shard in sorted(set(shard_of.values())):
                if not (folder / shard).exists():
                    raise UserError(f"{folder / index} names the shard {shard}, which is missing; download it")
            files = {name: open_file(folder / name) for name in sorted(set(shard_of.values()))}
            found = _tensors(folder, files)
            _check_places(folder / index, shard_of, found)
            _check_one_revision(folder / index, shard_of, files)
            return found
    raise UserError(f"{folder} has no weights: none of {SINGLE}, {INDEX}, {TORCH_SINGLE}, {TORCH_INDEX}")


def needed(names: Collection[str], folder: Path) -> list[str]:
    """Returns which files `find` would map, of a folder that does not have its weights yet.

    Args:
        names: of all files that the folder could have.
        folder: has those with settings, the indices too.

    Raises:
        UserError: an index is damaged.
    """
    for single, index in ((SINGLE, INDEX), (TORCH_SINGLE, TORCH_INDEX)):
        if single in names:
            return [single]
        if index in names:
            return sorted(set(_shard_of(folder / index).values()))
    return []


def _shard_of(index: Path) -> dict[str, str]:
    """Returns the file of every tensor that an index names."""
    shard_of = read_json(index).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(name, str) for name in shard_of.values()):
        raise UserError(f"{index} has no weight_map from tensors to files; download it again")
    for name in sorted(set(shard_of.values())):
        if Path(name).name != name or len(name) > 255:  # an index must not point out of its folder
            raise UserError(f"{index} names the shard {shown(name)}, which is not a file name")
    return shard_of


def _check_places(index: Path, shard_of: Mapping[str, str], found: Mapping[str, Stored]) -> None:
    for name, shard in shard_of.items():
        if not IGNORED.fullmatch(name) and (name not in found or found[name].shard != shard):
            raise UserError(f"{index} says that {shard} holds {name}, and it does not; are both of one checkpoint?")


def _check_one_revision(index: Path, shard_of: Mapping[str, str], files: Mapping[str, MappedFile]) -> None:
    """Refuses shards that were saved at two times: all shapes may fit, and the layers are of two models."""
    counts = {match[1]: name for name in files if (match := _COUNTED.fullmatch(name))}
    if len(counts) > 1:
        raise UserError(f"{index} names {' and '.join(sorted(counts.values()))}: shards of two checkpoints")
    for name, file in files.items():
        if unknown := next((tensor for tensor in file.tensors if tensor not in shard_of), None):
            raise UserError(f"{name} holds {unknown}, of which {index} says nothing; are both of one checkpoint?")
    metadata = read_json(index).get("metadata")
    told = metadata.get("total_size") if isinstance(metadata, dict) else None
    total = sum(array.nbytes for file in files.values() for array in file.tensors.values())
    if told and told != total:
        raise UserError(
            f"{index} says total_size {shown(told)}, and its shards hold {total} bytes of tensors: are all of one "
            "checkpoint? If they are, take total_size out"
        )


_COUNTED = re.compile(r".+-\d+-of-(\d+)\.\w+")


def _tensors(folder: Path, files: Mapping[str, MappedFile]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for shard, file in files.items():
        for name, array in file.tensors.items():
            if IGNORED.fullmatch(name):
                continue
            if name in found:
                raise UserError(f"{folder} holds {name} twice, in two of its shards")
            found[name] = Stored(file, array, shard)
    return found


def without_tied_head(folder: Path, found: Mapping[str, Stored]) -> dict[str, Stored]:
    """Returns the tensors of a model with tied embeddings without its head, which some checkpoints hold as well.

    Raises:
        UserError: the head is there and is not the embedding.
    """
    rest = {name: stored for name, stored in found.items() if name != HEAD}
    if len(rest) < len(found) and EMBEDDING in found and not _are_equal(found[EMBEDDING], found[HEAD]):
        raise UserError(
            f"{folder}: config.json says tie_word_embeddings, and {HEAD} differs from {EMBEDDING}; if the head is "
            "meant, set tie_word_embeddings to false"
        )
    return rest


def _are_equal(one: Stored, other: Stored) -> bool:
    """Compares two tensors by their values, a few megabytes at a time; the bits decide where the dtypes are one."""
    if one.array.shape != other.array.shape:
        return False
    same_dtype = one.array.dtype == other.array.dtype
    rows = max(1, _COMPARED_BYTES // max(1, one.array[:1].nbytes))
    for start in range(0, len(one.array), rows):
        parts = [stored.array[start : start + rows] for stored in (one, other)]
        seen = [as_bits(part) if same_dtype else part.astype(np.float32) for part in parts]
        equal = np.array_equal(seen[0], seen[1])
        for stored, part in zip((one, other), parts, strict=True):
            stored.file.release(part)
        if not equal:
            return False
    return True


_COMPARED_BYTES = 4 << 20


def check(folder: Path, found: Mapping[str, Stored], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Checks that the tensors are those that the config asks for.

    Raises:
        UserError: missing, extra or misshapen tensors; the message names the first and counts the others.
    """
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    wrong_shape = [name for name in expected if name in found and found[name].array.shape != expected[name]]
    advice = "is it complete, and the right config.json with it?"
    if missing == [HEAD]:
        advice = "if the embedding is its head too, set tie_word_embeddings to true in config.json"
    elif missing and extra and (renamed := _renamed(missing[0], extra)):
        raise UserError(
            f"{folder} names its tensors otherwise than transformers does: {renamed} for {missing[0]}; save the whole "
            "model with transformers' AutoModelForCausalLM, and without a wrapper around it"
        )
    for what, names in (
        ("lacks", missing),
        ("holds tensors unknown to a Llama of its config.json:", extra),
        ("holds tensors of another shape than its config.json asks for:", wrong_shape),
    ):
        if names:
            first = names[0]
            if names is wrong_shape:
                first += f" is {list(found[first].array.shape)}, not {list(expected[first])}"
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{folder} {what} {first}{others}; {advice}")


def _renamed(missing: str, extra: list[str]) -> str | None:
    """Returns the tensor that stands for a missing one under a longer or shorter path, such as without "model."."""
    bare = missing.removeprefix("model.")
    return next((name for name in extra if name == bare or name.endswith(f".{bare}")), None)


def check_dtypes(folder: Path, found: Mapping[str, Stored]) -> None:
    """Checks that every parameter has one dtype over all layers.

    Raises:
        UserError: a layer's differs from the first one's.
    """
    first: dict[str, str] = {}
    for name in found:
        other = first.setdefault(_LAYER.sub("", name, count=1), name)
        dtypes = [found[each].array.dtype.name for each in (other, name)]
        if dtypes[0] != dtypes[1]:
            raise UserError(
                f"{folder} stores {other} as {dtypes[0]} and {name} as {dtypes[1]}, and no dtype is asked for"
            )


_LAYER = re.compile(r"(?<=\.)\d+\.")


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
