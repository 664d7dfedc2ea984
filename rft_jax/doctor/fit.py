"""What a device's memory must hold, reckoned from the architecture, the config and the mesh in a moment.

Compiling the step (launch/plan.py) knows it exactly, and may take minutes. Here the state is exact, what the step adds
is an estimate, and what a compiler needs besides is left out.
"""

import dataclasses
import math
import os

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from rft_jax import hardware
from rft_jax.config import SampleConfig, TrainConfig
from rft_jax.model import partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.model.llama import Llama
from rft_jax.pipeline.pace import MeanLengths
from rft_jax.sample import capacity

_FULL = 0.95  # the share of a packed row that is used


@dataclasses.dataclass(frozen=True)
class Need:
    """What each device's memory must hold, in bytes.

    Attributes:
        state: there all the time, exact.
        step: besides, while it computes, at least and about.
        rows: for sampling, how many responses of full length fit beside the weights, 0 where the memory is unknown;
            None for training.
    """

    state: float
    step: float
    rows: int | None = None


def training(config: TrainConfig, architecture: LlamaConfig, mesh: Mesh, lengths: MeanLengths) -> Need:
    """Returns the need of a training step.

    Args:
        config: of the run.
        architecture: of its model.
        mesh: of its devices.
        lengths: of its examples.
    """
    parameters = _per_device(architecture, mesh, stacked=True)
    moments = 2 * (4 if config.moments == "float32" else 2)
    compute = _dtype(config.compute).itemsize
    tensor = mesh.shape["tensor"]

    # Of one part of the step, on one device.
    data_parallel = mesh.shape["data"] * mesh.shape["fsdp"]
    packed = config.packing != "none"
    width = config.row_length if packed else min(config.max_length, math.ceil(lengths.prompt + lengths.response))
    tokens = config.batch * (lengths.prompt + lengths.response)
    rows = math.ceil(tokens / (_FULL * config.row_length)) if packed else config.batch
    rows = math.ceil(rows / (data_parallel * config.accumulation))
    heads = architecture.head_width * (2 * architecture.heads + 2 * architecture.kv_heads)
    products = (heads + 2 * architecture.mlp_width) / tensor + architecture.width
    kept = architecture.width + {"full": 0.0, "dots": products, "none": 2 * products}[config.remat]
    activations = compute * rows * width * (architecture.layers * kept + 2 * products)
    logits = 4 * 2 * min(config.loss_chunk, rows * width) * architecture.vocabulary / tensor
    layer = (architecture.parameters - 2 * architecture.vocabulary * architecture.width) / architecture.layers / tensor
    gathered = 2 * compute * layer if mesh.shape["fsdp"] > 1 else 0.0
    return Need(state=parameters * (4 + moments + 4), step=activations + logits + max(0.0, gathered))


def sampling(config: SampleConfig, architecture: LlamaConfig, mesh: Mesh, lengths: MeanLengths, memory: float) -> Need:
    """Returns the need of sampling one path, and how many fit.

    Args:
        config: of the run.
        architecture: of its model.
        mesh: of its devices.
        lengths: of its problems.
        memory: of a device, in bytes; nan where that is unknown.
    """
    compute, tensor = _dtype(config.compute), mesh.shape["tensor"]
    weights = _per_device(architecture, mesh, stacked=False) * compute.itemsize
    token = capacity.bytes_of_token(architecture, tensor, compute)
    row = token * (lengths.prompt + config.max_new_tokens) + capacity.bytes_of_row(architecture, tensor)
    room = 0 if math.isnan(memory) else max(0, int((memory - weights) / row))
    return Need(state=weights, step=row, rows=room)


def device_memory() -> float:
    """Returns the bytes that a device here has for us."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":  # they share the machine
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / jax.local_device_count()
    limit = (device.memory_stats() or {}).get("bytes_limit")
    known = hardware.of_kind(device.device_kind)
    return float(limit or (known and known.memory) or math.nan)


def _per_device(architecture: LlamaConfig, mesh: Mesh, *, stacked: bool) -> int:
    """Returns how many parameters a device holds, those counted that every device has."""
    model = jax.eval_shape(lambda: Llama(architecture, jax.random.key(0), dtype=jnp.float32, stacked=stacked))
    places = jax.tree.leaves(partition.shardings(model, mesh))
    leaves = jax.tree.leaves(model)
    return sum(math.prod(place.shard_shape(leaf.shape)) for place, leaf in zip(places, leaves, strict=True))


def _dtype(compute: str) -> jnp.dtype:
    wide = compute == "float32" or (compute == "auto" and jax.default_backend() == "cpu")
    return jnp.dtype("float32" if wide else "bfloat16")
