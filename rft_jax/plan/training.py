"""The training step of a run, compiled for devices that are not here."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rft_jax.config import TrainConfig
from rft_jax.data.batches import Batch
from rft_jax.model import lora, partition
from rft_jax.model.architecture import LlamaConfig
from rft_jax.plan import cost
from rft_jax.plan.cost import Cost
from rft_jax.plan.lengths import EXAMPLES, TOKENS
from rft_jax.plan.target import Target
from rft_jax.runtime import AXES, make_mesh
from rft_jax.train.assemble import make_training
from rft_jax.train.step import abstract_model, abstract_state

_FILLED = 0.95  # of the tokens of packed rows


def lower(config: TrainConfig, architecture: LlamaConfig, target: Target) -> jax.stages.Lowered:
    """Lowers the step as the target would run it: in bf16 and with its attention, unless the config says otherwise.

    Raises:
        UserError: the mesh does not cover the devices, or the settings do not go with them.
    """
    if config.compute == "auto":
        config = dataclasses.replace(config, compute="bfloat16")
    if not target.vendor:
        config = dataclasses.replace(config, attention="xla")  # the kernels do not compile for CPUs
    mesh = make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor, target.devices)
    with jax.set_mesh(mesh):
        optimizer, step = make_training(config, target.backend if target.vendor else "cpu")
        adapters = lora.chosen(config.lora, architecture)
        state = abstract_state(architecture, optimizer, mesh, adapters)
        frozen = abstract_model(architecture, mesh, jnp.dtype(config.compute)) if adapters else None
        stop = jax.ShapeDtypeStruct((mesh.size,), jnp.int32, sharding=NamedSharding(mesh, P(AXES)))
        rate = jax.ShapeDtypeStruct((), jnp.float32, sharding=NamedSharding(mesh, P()))
        return step.lower(state, _batch(config, mesh), stop, rate, frozen)


def step_cost(config: TrainConfig, architecture: LlamaConfig, target: Target) -> Cost:
    """Returns what a step costs each device; it compiles it.

    Raises:
        UserError: as for `lower`.
    """
    return cost.of(lower(config, architecture, target), target)


def useful_flops(config: TrainConfig, architecture: LlamaConfig) -> float:
    """Returns the FLOPs of a step on all devices, as `lora.flops_per_token` counts them."""
    return lora.flops_per_token(architecture, lora.chosen(config.lora, architecture)) * config.batch * TOKENS


def steps(config: TrainConfig) -> int:
    """Returns the number of steps on GSM8K."""
    return math.ceil(EXAMPLES * config.epochs / config.batch)


def _batch(config: TrainConfig, mesh: Mesh) -> Batch[jax.ShapeDtypeStruct]:
    quantum = mesh.shape["data"] * mesh.shape["fsdp"] * config.accumulation
    packed = config.packing != "none"
    rows = math.ceil(config.batch * TOKENS / (_FILLED * config.row_length)) if packed else config.batch
    rows = math.ceil(rows / quantum) * quantum
    shape = (config.accumulation, rows // config.accumulation, config.row_length if packed else config.max_length - 1)
    sharding = partition.sharding("tokens", shape, mesh)
    dtypes = (jnp.int32,) * 4 + (jnp.float32,)
    return Batch(*(jax.ShapeDtypeStruct(shape, dtype, sharding=sharding) for dtype in dtypes))
