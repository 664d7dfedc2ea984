"""Llama to and from a Hugging Face folder.

Loading maps the files and hands each device its slice; saving gathers and writes one tensor at a time. Neither ever
holds the whole model on the host beside the devices' own. The names and shapes are in names.py.
"""

import collections
import concurrent.futures
import functools
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import tqdm
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, Sharding
from jax.sharding import PartitionSpec as P

from rft_jax import files
from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import host_memory, sentencepiece, sidecars, weights
from rft_jax.hf.names import names, shapes
from rft_jax.model import adapters as low_rank
from rft_jax.model import llama, partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.layers import Layer
from rft_jax.model.llama import Llama

README = "README.md"
Index = tuple[slice, ...]
Tensors = Iterator[tuple[str, np.ndarray]]  # names and arrays
Adapter = tuple[jax.Array, jax.Array, float]  # A, B and scale, as for adapters.merged
_IN_FLIGHT = 2  # parameters loaded at once: while one goes to its device, the next is read


def load(folder: str | Path, mesh: Mesh | None = None, *, dtype: jnp.dtype | None, stacked: bool) -> Llama:
    """Loads a Llama from a Hugging Face folder, each device reading only its part.

    Args:
        folder: holds config.json and the weights: safetensors, or pytorch_model*.bin when torch is installed.
        mesh: where the parameters go, as partition.TABLE says; None is the default device.
        dtype: of the parameters, whatever the file's are; None keeps the file's, one for all layers of a parameter.
        stacked: whether the layers are stacked (training) or apart (sampling).

    Raises:
        UserError: the folder is not a whole Llama checkpoint; one line says what is wrong and where.
    """
    folder = Path(folder)
    config = hf_config.read(folder)
    sidecars.check_token_ids(sidecars.token_ids(folder), config.vocabulary, str(folder))
    found = weights.find(folder)
    if config.tied_embeddings:
        found = weights.without_tied_head(folder, found)
    weights.check(folder, found, shapes(config))
    if dtype is None:
        weights.check_dtypes(folder, found)

    abstract = jax.eval_shape(lambda: Llama(config, jax.random.key(0), dtype=jnp.float32, stacked=stacked))

    def load_parameter(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        parts, on_layers = names(path, config)
        sources = [found[name] for name in parts]
        place = partition.sharding(partition.role_of(path), leaf.shape, mesh) if mesh else None
        wanted = sources[0].array.dtype if dtype is None else jnp.dtype(dtype)
        kinds = {stored.array.dtype for stored in sources}
        # The devices cast, which is fast; only layers of several dtypes must be of one before they are put together.
        read_as = sources[0].array.dtype if len(kinds) == 1 else wanted
        mapped = read_as == wanted
        array = _fill(
            leaf.shape, place, lambda index: _read(sources, leaf.shape, index, on_layers, mapped=mapped, dtype=read_as)
        )
        return array if mapped else array.astype(wanted)

    leaves, form = jax.tree.flatten_with_path(abstract)
    loaded = []
    with concurrent.futures.ThreadPoolExecutor(_IN_FLIGHT) as pool, _bar("load", config) as bar:
        for array in pool.map(lambda leaf: load_parameter(*leaf), leaves):
            bar.update(array.size)
            loaded.append(array)
    return jax.tree.unflatten(form, loaded)


def _bar(action: str, config: LlamaConfig) -> tqdm.tqdm:
    """Returns a progress bar that counts parameters, on process 0 and for a terminal only."""
    quiet = None if jax.process_index() == 0 else True
    return tqdm.tqdm(desc=action, total=config.parameters, unit=" parameters", unit_scale=True, disable=quiet)


def _fill(shape: tuple[int, ...], place: Sharding | None, read: Callable[[Index], np.ndarray]) -> jax.Array:
    """Makes an array whose slices are read one at a time, each once also when several devices hold it."""
    if place is None:
        return jax.device_put(read((slice(None),) * len(shape)))
    holders = collections.defaultdict(list)
    indices = place.addressable_devices_indices_map(shape)
    for device, index in indices.items():
        holders[str(index)].append(device)
    on_device: dict[Any, jax.Array] = {}
    for devices in holders.values():
        part = read(cast(Index, indices[devices[0]]))
        on_device |= {device: jax.device_put(part, device) for device in devices}
    return jax.make_array_from_single_device_arrays(shape, place, [on_device[device] for device in indices])


def _read(
    sources: list[weights.Stored],
    shape: tuple[int, ...],
    index: Index,
    on_layers: bool,
    *,
    mapped: bool,
    dtype: np.dtype,
) -> np.ndarray:
    """Reads a slice of a parameter: of one tensor, or of one tensor a layer, which become the leading axis.

    With `mapped` the result may be the file's mapping itself, which a device copies from and the CPU uses as it is.
    Files are replaced and never changed in place, so it stays what it is (files.py).
    """
    layers, inner = (index[0], index[1:]) if on_layers else (slice(None), index)
    inner_shape = shape[1:] if on_layers else shape
    views = [stored.array.reshape(inner_shape)[inner] for stored in sources[layers]]
    if mapped and not on_layers and host_memory.usable_in_place(views[0]):
        sources[0].file.read_ahead(views[0])
        return views[0]
    buffer = host_memory.empty((len(views), *views[0].shape), dtype)
    releases = [stored.file.release for stored in sources[layers]]
    if all(view.dtype == dtype for view in views):
        host_memory.copy(zip(buffer, views, releases, strict=True))
    else:
        for layer, view, release in zip(buffer, views, releases, strict=True):
            layer[...] = view
            release(view)
    return buffer if on_layers else buffer[0]


def save(
    model: Llama,
    folder: str | Path,
    *,
    tokenizer_from: str | Path | None,
    dtype: jnp.dtype,
    prompt: sidecars.PromptSidecar | None = None,
    shard_bytes: int = 5_000_000_000,
) -> None:
    """Saves a model as a Hugging Face folder, whole or not at all; transformers 4 and 5 load it.

    When the parameters are spread over several processes, all of them call this: each tensor is gathered, process 0
    writes it, and all return or raise together.

    Args:
        model: stacked or not, of arrays on any devices; adapters are added to the weights they are of.
        folder: to make; an earlier one of that name is replaced.
        tokenizer_from: a model folder whose tokenizer, special tokens' numbers and generation settings go along; None
            for a model without a tokenizer.
        dtype: of the saved weights: bfloat16, float16 or float32.
        prompt: how the model is asked, if it was trained to be asked in some way.
        shard_bytes: the most bytes of tensors in a file.

    Raises:
        UserError: no tokenizer in `tokenizer_from`, no room or no permission to write.
    """

    def write_all(tensors: Tensors) -> None:
        write(
            folder,
            model.config,
            tensors,
            tokenizer_from=tokenizer_from,
            dtype=jnp.dtype(dtype),
            prompt=prompt,
            shard_bytes=shard_bytes,
        )

    written_together(_tensors(model, jnp.dtype(dtype)), write_all)


def written_together(tensors: Tensors, write: Callable[[Tensors], None]) -> None:
    """Has process 0 write tensors that all processes gather; all return or raise together.

    Args:
        tensors: names and arrays; each may be gathered from all processes when it is asked for.
        write: takes them and writes them.
    """
    error: Exception | None = None
    if jax.process_index() == 0:
        try:
            write(tensors)
        except Exception as caught:  # told to all below: the others would wait for process 0 for ever
            error = caught
    for _ in tensors:  # a gather needs every process, also those that do not write or can no longer
        pass
    _raise_together(error)


def write(
    folder: str | Path,
    config: LlamaConfig,
    tensors: Iterable[tuple[str, np.ndarray]],
    *,
    tokenizer_from: str | Path | None,
    dtype: jnp.dtype,
    prompt: sidecars.PromptSidecar | None = None,
    shard_bytes: int = 5_000_000_000,
    readme: Callable[[Path], str] | None = None,
) -> None:
    """Writes a Hugging Face folder, whole or not at all, from tensors that are made one at a time.

    Args:
        folder, tokenizer_from, dtype, prompt, shard_bytes: as for `save`.
        config: of the model.
        tensors: the names and shapes of `shapes(config)`, in that order.
        readme: makes README.md from the folder, once all else is written there; None: there is none.

    Raises:
        UserError: no tokenizer in `tokenizer_from`, no room or no permission to write.
    """
    dtype = jnp.dtype(dtype)
    source = None if tokenizer_from is None else Path(tokenizer_from)
    tokenizer = [] if source is None else sidecars.tokenizer_files(source)
    ids = ({} if source is None else sidecars.token_ids(source)) | ({} if prompt is None else prompt.token_ids)
    with files.whole_folder(folder) as partial:
        hf_config.write(partial, config, dtype.name, ids)
        sidecars.write_generation(partial, source, ids, prompt)
        for file in tokenizer:
            shutil.copyfile(file, partial / file.name)
        if prompt is not None:
            prompt.write(partial)
            if sentencepiece.stands_alone(partial):
                sentencepiece.write_json(partial)
        weights.write(partial, shapes(config), dtype, tensors, shard_bytes=shard_bytes)
        if readme is not None:
            (partial / README).write_text(readme(partial), encoding="utf-8")


def _tensors(model: Llama, dtype: np.dtype) -> Iterator[tuple[str, np.ndarray]]:
    """Yields every tensor of the file, on the host, gathered from all devices and processes; one is there at a time."""
    adapters = model.layers.adapters if isinstance(model.layers, Layer) else None
    leaves: dict[str, tuple[jax.Array, int | None, Adapter | None]] = {}
    bare = model if adapters is None else llama.with_adapters(model, None)
    for path, leaf in jax.tree.leaves_with_path(bare):
        parts, on_layers = names(path, model.config)
        pair = adapters.of(partition.role_of(path)) if adapters is not None else None
        adapter = (*pair, adapters.scale) if adapters is not None and pair is not None else None
        leaves |= {name: (leaf, layer if on_layers else None, adapter) for layer, name in enumerate(parts)}
    with _bar("save", model.config) as bar:
        for name, shape in shapes(model.config).items():
            tensor = gathered(*leaves[name], dtype=dtype)
            yield name, jax.device_get(tensor).view(dtype).reshape(shape)
            bar.update(tensor.size)


def gathered(parameter: jax.Array, layer: int | None, adapter: Adapter | None = None, *, dtype: np.dtype) -> jax.Array:
    """Returns a parameter, or one layer of it, whole in each process, as integers of its bits; all processes call this.

    Args:
        parameter: on any devices.
        layer: None: all of it.
        adapter: to add to it.
        dtype: to cast it to.
    """
    with jax.transfer_guard("allow"):  # the layer's number travels to the devices
        tensor = _bits(parameter, layer, adapter, dtype=dtype)
    if not tensor.is_fully_addressable:
        tensor = _gather(tensor)
    return tensor.addressable_data(0) if tensor.is_fully_replicated else tensor


@functools.partial(jax.jit, static_argnames="dtype")
def _bits(parameter: jax.Array, layer: int | None, adapter: Adapter | None, dtype: np.dtype) -> jax.Array:
    """Returns a parameter, or one layer of it, with its adapter, cast and as integers, which numpy handles in bulk.

    Always a new array: an array keeps the host copy that was made of it, and the parameters must not all do so.
    """
    if layer is not None:
        take = functools.partial(jax.lax.dynamic_index_in_dim, index=layer, keepdims=False)
        parameter = take(parameter)
        if adapter is not None:
            a, b, scale = adapter
            parameter = low_rank.merged(parameter, take(a), take(b), scale)
    return jax.lax.bitcast_convert_type(parameter.astype(dtype), jnp.dtype(f"uint{8 * dtype.itemsize}"))


def _gather(tensor: jax.Array) -> jax.Array:
    """Returns a tensor that is spread over processes whole on every device."""
    place = NamedSharding(cast(NamedSharding, tensor.sharding).mesh, P())
    return jax.jit(lambda tensor: tensor, out_shardings=place)(tensor)


_TOLD_BYTES = 1024


def _raise_together(error: Exception | None) -> None:
    """Raises process 0's error on every process."""
    if jax.process_count() > 1:
        told = np.zeros(_TOLD_BYTES, np.uint8)
        words = str(error) if isinstance(error, UserError) else "process 0 failed to save"
        text = words.encode(errors="replace")[:_TOLD_BYTES]
        if error is not None:
            told[: len(text)] = np.frombuffer(text, np.uint8)
        with jax.transfer_guard("allow"):
            told = np.asarray(multihost_utils.broadcast_one_to_all(told))
        if error is None and told.any():
            raise UserError(told.tobytes().rstrip(b"\0").decode(errors="replace"))
    if error is not None:
        raise error
